"""The figures of the made clips: how they move, where their joints are, and how they are drawn.

Reads and writes nothing. A pose is nine angles of limbs in degrees (0 hangs down, 90 points right
in the picture, 180 up) and a height above the floor; lengths are in heights of a figure. Figures
walk and run as seen from the front, so that no single frame tells where they go.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, hypot, pi, radians, sin
from typing import NamedTuple

from numpy.random import Generator
from PIL.ImageDraw import ImageDraw

Point = tuple[float, float]
RGB = tuple[int, int, int]

CLOTH: dict[str, RGB] = {
    "red": (222, 50, 47),
    "blue": (48, 104, 224),
    "green": (52, 168, 83),
    "yellow": (246, 205, 48),
    "purple": (150, 72, 196),
    "white": (240, 240, 236),
}
SKIN: tuple[RGB, ...] = ((246, 212, 184), (222, 176, 136), (166, 116, 80), (120, 80, 58))
HAIR: tuple[RGB, ...] = ((44, 32, 28), (96, 62, 38), (168, 122, 62), (128, 128, 132))
WOOD: RGB = (120, 82, 48)
MAT: RGB = (96, 112, 128)
BALLS: tuple[RGB, ...] = ((250, 90, 80), (250, 220, 90), (110, 200, 250))

HEAD, TORSO, UPPER_ARM, FOREARM, THIGH, SHIN = 0.088, 0.30, 0.165, 0.165, 0.235, 0.235
"""Lengths; the head's is its radius."""


class Pose(NamedTuple):
    """Angles of limbs, and the height of the lowest point above the floor; the default stands."""

    torso: float = 180
    arm1: float = -16
    forearm1: float = -8
    arm2: float = 16
    forearm2: float = 8
    thigh1: float = -8
    shin1: float = -5
    thigh2: float = 8
    shin2: float = 5
    lift: float = 0


STAND = Pose()
LEAN = Pose(150, 30, 50, 40, 60, 52, -10, 60, -6)
SEATED = Pose(178, 24, 76, 34, 84, 84, 2, 94, 6)
CROUCH = Pose(168, 14, 60, 30, 70, 118, -32, 126, -26)
ON_FLOOR = Pose(196, -20, -8, 6, 10, 106, 58, 118, 50)
LYING = Pose(270, 80, 90, 98, 94, 92, 88, 96, 90)
WAY_DOWN = {"sit": (STAND, LEAN, SEATED), "lie": (STAND, CROUCH, ON_FLOOR, LYING)}
"""Movements that go from one key pose to the next, once."""


def _walk(s: float, _: float) -> Pose:
    legs = (26 * s, 24 * s, -26 * s, -24 * s)
    return Pose(180, -28 * s - 4, -36 * s - 3, 28 * s + 4, 36 * s + 3, *legs)


def _run(s: float, c: float) -> Pose:
    arms = (-50 + 16 * s, 20 - 110 * s, 50 + 16 * s, -20 - 110 * s)
    return Pose(180, *arms, 52 * s, 14 * s, -52 * s, -14 * s, 0.02 + 0.06 * abs(c))


def _wave(s: float, c: float) -> Pose:
    return STAND._replace(torso=180 + 2 * c, arm2=140 + 6 * c, forearm2=180 + 38 * s)


def _box(s: float, c: float) -> Pose:
    one, two = max(0.0, s), max(0.0, -s)
    arms = (40 + 52 * one, 150 - 58 * one, 30 + 62 * two, 140 - 48 * two)
    return Pose(174 - 5 * abs(s), *arms, -22, -8, 24 + 3 * c, 2)


def _jump(s: float, _: float) -> Pose:
    up, down = max(0.0, s), max(0.0, -s)
    thigh, shin = -8 - 16 * up - 34 * down, -5 - 10 * up + 26 * down
    arm, forearm = 16 + 134 * up, 8 + 152 * up
    return Pose(180, -arm, -forearm, arm, forearm, thigh, shin, -thigh, -shin, 0.26 * up)


def _juggle(s: float, c: float) -> Pose:
    return STAND._replace(arm1=-24, forearm1=-112 - 16 * s, arm2=24, forearm2=112 - 16 * c)


CYCLES: dict[str, tuple[float, Callable[[float, float], Pose]]] = {
    "walk": (1.1, _walk),
    "run": (1.9, _run),
    "wave": (1.4, _wave),
    "box": (1.3, _box),
    "jump": (1.2, _jump),
    "juggle": (1.1, _juggle),
}
"""Movements that repeat: how often a second, and the pose for the sine and cosine of the phase."""


def pose_of(movement: str, seconds: float, start: float, share: float) -> Pose:
    """Return the pose of a movement.

    A repeated one needs the time in seconds and where in its cycle (0 to 1) it ``start``s; one that
    goes down once needs the ``share`` of its way, which may lie below 0 or above 1.
    """
    if movement in WAY_DOWN:
        return _between(WAY_DOWN[movement], share)
    rate, cycle = CYCLES[movement]
    phase = 2 * pi * (rate * seconds + start)
    return cycle(sin(phase), cos(phase))


def _between(poses: tuple[Pose, ...], share: float) -> Pose:
    """Return the pose at ``share`` of the way through key poses, with a soft start and stop."""
    share = min(1.0, max(0.0, share))
    at = share * share * (3 - 2 * share) * (len(poses) - 1)
    first = min(int(at), len(poses) - 2)
    pairs = zip(poses[first], poses[first + 1], strict=True)
    return Pose(*(a + (b - a) * (at - first) for a, b in pairs))


class Body(NamedTuple):
    """Where the joints are, in pixels."""

    head: Point
    neck: Point
    hip: Point
    elbow1: Point
    hand1: Point
    elbow2: Point
    hand2: Point
    knee1: Point
    foot1: Point
    knee2: Point
    foot2: Point


def place(
    pose: Pose, at: Point, *, tall: float, mirrored: bool = False, by_feet: bool = False
) -> Body:
    """Return a pose's joints: the lowest on the floor, the hip (or the feet's middle) at ``at``."""
    hip = (0.0, 0.0)
    neck = _end(hip, pose.torso, TORSO)
    head = _end(neck, pose.torso, HEAD * 1.3)
    elbow1, elbow2 = _end(neck, pose.arm1, UPPER_ARM), _end(neck, pose.arm2, UPPER_ARM)
    hand1, hand2 = _end(elbow1, pose.forearm1, FOREARM), _end(elbow2, pose.forearm2, FOREARM)
    knee1, knee2 = _end(hip, pose.thigh1, THIGH), _end(hip, pose.thigh2, THIGH)
    foot1, foot2 = _end(knee1, pose.shin1, SHIN), _end(knee2, pose.shin2, SHIN)
    body = Body(head, neck, hip, elbow1, hand1, elbow2, hand2, knee1, foot1, knee2, foot2)
    low = max(head[1] + HEAD * 0.6, *(y for _, y in body[1:])) + 0.035 + pose.lift
    middle = (foot1[0] + foot2[0]) / 2 if by_feet else 0.0
    wide = -tall if mirrored else tall
    return Body(*((at[0] + wide * (x - middle), at[1] + tall * (y - low)) for x, y in body))


def _end(at: Point, angle: float, length: float) -> Point:
    """Return the other end of a limb."""
    return at[0] + length * sin(radians(angle)), at[1] + length * cos(radians(angle))


class Clothes(NamedTuple):
    """The colours of one figure."""

    shirt: RGB
    trousers: RGB
    skin: RGB
    hair: RGB


def dress(colour: str, rng: Generator) -> Clothes:
    """Choose the shades of one figure: trousers are the shirt's colour, darker."""
    bright, dark = rng.uniform(0.9, 1.06), rng.uniform(0.66, 0.82)
    shirt = shade(CLOTH[colour], bright)
    skin = SKIN[int(rng.integers(len(SKIN)))]
    hair = HAIR[int(rng.integers(len(HAIR)))]
    return Clothes(shirt, shade(shirt, dark), skin, hair)


def shade(colour: RGB, factor: float) -> RGB:
    """Return a colour made lighter or darker."""
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


def draw_body(draw: ImageDraw, body: Body, tall: float, clothes: Clothes, facing: float) -> None:
    """Draw one figure; ``facing`` -1 looks left, 0 at the audience, 1 right."""
    arm, leg, radius = 0.062 * tall, 0.085 * tall, HEAD * tall
    _limb(draw, (body.hip, body.knee1, body.foot1), leg, shade(clothes.trousers, 0.88))
    _limb(draw, (body.neck, body.elbow1, body.hand1), arm, shade(clothes.shirt, 0.86))
    _disc(draw, body.hand1, arm * 0.55, clothes.skin)
    _limb(draw, (body.hip, body.knee2, body.foot2), leg, clothes.trousers)
    _limb(draw, (body.neck, body.hip), 0.15 * tall, clothes.shirt)
    _limb(draw, (body.neck, body.elbow2, body.hand2), arm, shade(clothes.shirt, 0.93))
    _disc(draw, body.hand2, arm * 0.55, clothes.skin)
    up_x, up_y = body.head[0] - body.neck[0], body.head[1] - body.neck[1]
    length = hypot(up_x, up_y)
    up_x, up_y = up_x / length, up_y / length
    _disc(draw, body.head, radius, clothes.hair)
    ahead = facing * 0.22 * radius
    face = (
        body.head[0] - 0.2 * radius * up_x - ahead * up_y,
        body.head[1] - 0.2 * radius * up_y + ahead * up_x,
    )
    _disc(draw, face, radius * 0.82, clothes.skin)
    for side in (-0.34, 0.34):
        across = (side + 0.35 * facing) * radius
        eye = (face[0] - across * up_y, face[1] + across * up_x)
        _disc(draw, eye, 0.09 * radius + 0.4, (30, 26, 26))


def draw_chair(draw: ImageDraw, at: Point, tall: float, mirrored: bool) -> None:
    """Draw the chair behind a figure whose feet are at ``at``, as its seat and back are used."""
    way = -tall if mirrored else tall
    seat = at[1] - 0.25 * tall
    front, back = at[0] - 0.08 * way, at[0] - 0.36 * way
    for x in (front, back):
        draw.line((x, seat, x, at[1]), fill=shade(WOOD, 0.8), width=round(0.035 * tall))
    draw.line((front, seat, back, seat), fill=WOOD, width=round(0.055 * tall))
    draw.line((back, at[1] - 0.62 * tall, back, seat), fill=WOOD, width=round(0.05 * tall))


def draw_mat(draw: ImageDraw, at: Point, tall: float) -> None:
    """Draw the mat on which a figure lies."""
    wide, deep = 0.62 * tall, 0.055 * tall
    box = (at[0] - wide, at[1] - deep, at[0] + wide, at[1] + deep)
    draw.rounded_rectangle(box, radius=deep * 0.7, fill=MAT, outline=shade(MAT, 0.75))


def draw_balls(draw: ImageDraw, body: Body, tall: float, turns: float) -> None:
    """Draw three balls on their way from hand to hand, ``turns`` rounds after the start."""
    (x1, y1), (x2, y2) = body.hand1, body.hand2
    for ball, colour in enumerate(BALLS):
        turn = (turns + ball / len(BALLS)) % 1
        over = turn < 0.75
        part = turn / 0.75 if over else 1 - (turn - 0.75) / 0.25
        arch = (0.5 if over else 0.06) * tall * 4 * part * (1 - part)
        at = (x1 + (x2 - x1) * part, min(y1, y2) - 0.05 * tall - arch)
        _disc(draw, at, 0.045 * tall, colour)


def _limb(draw: ImageDraw, points: tuple[Point, ...], width: float, fill: RGB) -> None:
    """Draw a line with round joints and ends."""
    draw.line(points, fill=fill, width=max(1, round(width)))
    for point in points:
        _disc(draw, point, width / 2, fill)


def _disc(draw: ImageDraw, at: Point, radius: float, fill: RGB) -> None:
    """Draw a filled circle."""
    draw.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=fill)
