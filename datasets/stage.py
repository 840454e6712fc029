"""The stage of the made clips, and the camera: a scene becomes its frames.

Reads and writes nothing; gives (T, H, W, 3) uint8 RGB. What a frame shows lies in the middle two
thirds of its width, so that the centre crop of an ImageNet transform keeps it; curtains hang at the
sides.

Letters: T frames, H rows, W columns, C red, green and blue; 1 is an axis of length one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from reelscribe.datasets.figures import (
    RGB,
    WAY_DOWN,
    Clothes,
    draw_balls,
    draw_body,
    draw_chair,
    draw_mat,
    dress,
    place,
    pose_of,
    shade,
)
from reelscribe.datasets.script import ACTIONS, HEIGHT, RATE, WIDTH, Scene

SCALE = 2
"""Drawn this much larger and averaged down, for smooth edges."""
WIDE, HIGH = WIDTH * SCALE, HEIGHT * SCALE
WING = 27 * SCALE
"""Width of a curtain at the side."""

CURTAINS: tuple[RGB, ...] = ((128, 30, 38), (34, 60, 96), (30, 82, 70), (84, 44, 92), (72, 58, 50))
WALLS: tuple[RGB, ...] = ((92, 84, 104), (78, 96, 104), (108, 96, 84), (84, 92, 84), (100, 84, 92))
SKIES: dict[str, tuple[RGB, RGB]] = {
    "night": ((18, 24, 52), (52, 60, 104)),
    "hills": ((120, 168, 204), (196, 212, 208)),
    "city": ((84, 72, 112), (204, 148, 128)),
}
FLOORS: tuple[RGB, ...] = ((142, 104, 70), (118, 92, 72), (158, 126, 92), (104, 100, 100))


class Cast(NamedTuple):
    """One figure of a scene, as it stays for the whole clip."""

    clothes: Clothes
    start: float
    """Where in its cycle a repeated movement begins, 0 to 1."""
    begins: float
    """When it begins to sit or lie down, in shares of the clip."""
    ends: float
    """When it has sat or lain down."""


def render(scene: Scene) -> NDArray[np.uint8]:
    """Return a scene's frames (T, H, W, 3), RGB. Its twin's are these in reverse order, exactly."""
    frames_THWC = _play(scene)
    return frames_THWC[::-1] if ACTIONS[scene.label].backwards else frames_THWC


def _play(scene: Scene) -> NDArray[np.uint8]:
    """Film a movement forwards. Of the label only what it ``plays`` is used, so twins agree."""
    rng = np.random.default_rng(scene.paint)
    floor = (0.80 + 0.11 * scene.depth) * HIGH
    back, wings = _build_stage(scene, rng)
    casts = _choose_casts(scene, rng)
    grain_HWC = rng.normal(0, scene.noise, (HEIGHT + 32, WIDTH + 32, 3)).astype(np.float32)
    corners = rng.integers(0, 32, (scene.frames, 2))
    frames_THWC = np.empty((scene.frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for t in range(scene.frames):
        canvas = back.copy()
        for number, cast in enumerate(casts):
            _draw_cast(ImageDraw.Draw(canvas), scene, cast, number, t, floor)
        canvas.paste(wings, (0, 0), wings)
        top, left = corners[t]
        noise_HWC = grain_HWC[top : top + HEIGHT, left : left + WIDTH]
        frame_HWC = np.asarray(canvas.convert("RGB").reduce(SCALE)) * np.float32(scene.brightness)
        frames_THWC[t] = np.clip(frame_HWC + noise_HWC, 0, 255)
    return frames_THWC


def _choose_casts(scene: Scene, rng: Generator) -> list[Cast]:
    """Dress the figures and choose their timing; two of them move nearly together."""
    seconds = scene.frames / RATE
    lasts = min(0.85, (0.9 if ACTIONS[scene.label].plays == "sit" else 1.3) / scene.tempo / seconds)
    start, begins = float(rng.uniform(0, 1)), float(rng.uniform(0.06, 0.94 - lasts))
    casts = []
    for _ in range(scene.figures):
        late = float(rng.uniform(-0.03, 0.03))
        clothes = dress(scene.colour, rng)
        casts.append(Cast(clothes, start + 3 * late, begins + late, begins + late + lasts))
    return casts


def _draw_cast(
    draw: ImageDraw.ImageDraw, scene: Scene, cast: Cast, number: int, t: int, floor: float
) -> None:
    """Draw one figure, and what it sits on or plays with, into frame ``t``."""
    movement = ACTIONS[scene.label].plays
    tall = scene.size * HIGH * (0.9 if scene.figures == 2 else 1)
    seconds, share = t / RATE * scene.tempo, t / (scene.frames - 1)
    side = number - (scene.figures - 1) / 2
    apart = 0.2 if movement == "lie" else 0.8 if movement == "sit" else 0.6
    near = 0.3 * tall * (number + 1 - scene.figures) if movement == "lie" else 0.0
    at = (WIDE / 2 + _across(scene, share) + side * apart * tall, floor + near)
    down = (share - cast.begins) / (cast.ends - cast.begins)
    pose = pose_of(movement, seconds, cast.start, down)
    mirrored = scene.mirrored and movement not in ("walk", "run")
    body = place(pose, at, tall=tall, mirrored=mirrored, by_feet=movement == "sit")
    _draw_shadow(draw, at, tall * (1 - pose.lift))
    if movement == "sit":
        draw_chair(draw, at, tall, mirrored)
    if movement == "lie":
        draw_mat(draw, at, tall)
    sidelong = movement == "box" or movement in WAY_DOWN
    draw_body(draw, body, tall, cast.clothes, (-1.0 if mirrored else 1.0) if sidelong else 0.0)
    if movement == "juggle":
        draw_balls(draw, body, tall, seconds * 1.1 + cast.start)


def _across(scene: Scene, share: float) -> float:
    """Return how far right of the middle of the stage a figure is, in pixels."""
    usable = 0.5 * WIDE - WING
    movement = ACTIONS[scene.label].plays
    if movement not in ("walk", "run"):
        return 0.4 * usable * scene.place
    least, most = (0.45, 0.8) if movement == "walk" else (0.7, 1.1)
    half = least + (most - least) * scene.reach
    return usable * (scene.place * max(0.0, 0.85 - half) + half * (2 * share - 1))


def _draw_shadow(draw: ImageDraw.ImageDraw, at: tuple[float, float], tall: float) -> None:
    """Darken the floor below a figure."""
    wide, deep = 0.2 * tall, 0.035 * tall
    draw.ellipse((at[0] - wide, at[1] - deep, at[0] + wide, at[1] + deep), fill=(40, 32, 30, 255))


def _build_stage(scene: Scene, rng: Generator) -> tuple[Image.Image, Image.Image]:
    """Return what lies behind the figures, and the curtains before them (RGBA)."""
    horizon = round(0.70 * HIGH)
    wall = shade(WALLS[int(rng.integers(len(WALLS)))], rng.uniform(0.8, 1.15))
    above, below = SKIES.get(scene.backdrop, (shade(wall, 0.8), wall))
    back = _fade(above, below, horizon)
    draw = ImageDraw.Draw(back)
    _BACKDROPS[scene.backdrop](draw, horizon, wall, rng)
    _lay_floor(draw, horizon, FLOORS[int(rng.integers(len(FLOORS)))])
    light = Image.new("L", (WIDTH // 2, HEIGHT // 2), 0)
    middle = WIDTH / 4 + rng.uniform(-8, 8)
    ImageDraw.Draw(light).ellipse((middle - 36, 8, middle + 36, HEIGHT / 2 + 6), fill=70)
    soft = light.filter(ImageFilter.GaussianBlur(9)).resize(back.size, Image.Resampling.BILINEAR)
    back.paste((255, 244, 214), mask=soft)
    return back.convert("RGBA"), _hang_wings(CURTAINS[int(rng.integers(len(CURTAINS)))])


def _fade(above: RGB, below: RGB, horizon: int) -> Image.Image:
    """Return a canvas whose colour goes from one to the other, down to the horizon."""
    column_H1C = np.linspace(above, below, horizon, dtype=np.float32)[:, None]
    canvas_HWC = np.zeros((HIGH, WIDE, 3), dtype=np.uint8)
    canvas_HWC[:horizon] = column_H1C
    return Image.fromarray(canvas_HWC)


def _lay_floor(draw: ImageDraw.ImageDraw, horizon: int, wood: RGB) -> None:
    """Lay boards that run towards the audience."""
    draw.rectangle((0, horizon, WIDE, HIGH), fill=wood)
    for board in range(-14, 15):
        ends = (WIDE / 2 + board * 22, horizon, WIDE / 2 + board * 40, HIGH)
        draw.line(ends, fill=shade(wood, 0.86), width=2)
    draw.line((0, horizon, WIDE, horizon), fill=shade(wood, 0.6), width=4)
    draw.rectangle((0, HIGH - 9, WIDE, HIGH), fill=shade(wood, 0.55))


def _hang_wings(cloth: RGB) -> Image.Image:
    """Return the curtains at both sides and above, in folds, on a clear ground."""
    wings = Image.new("RGBA", (WIDE, HIGH), (0, 0, 0, 0))
    draw = ImageDraw.Draw(wings)
    for x in range(0, WING, 2):
        fold = 0.78 + 0.3 * abs((x % 18) / 9 - 1)
        for at in (x, WIDE - 2 - x):
            draw.rectangle((at, 0, at + 1, HIGH - 5), fill=(*shade(cloth, fold), 255))
    for x in range(0, WIDE, 48):
        draw.chord((x - 4, -26, x + 52, 26), 0, 180, fill=(*shade(cloth, 1.12), 255))
        draw.arc((x - 4, -26, x + 52, 26), 0, 180, fill=(214, 176, 88, 255), width=3)
    return wings


def _plain(draw: ImageDraw.ImageDraw, horizon: int, wall: RGB, rng: Generator) -> None:
    step = int(rng.integers(34, 56))
    for x in range(int(rng.integers(step)), WIDE, step):
        draw.line((x, 0, x, horizon), fill=shade(wall, 0.86), width=3)


def _night(draw: ImageDraw.ImageDraw, horizon: int, _: RGB, rng: Generator) -> None:
    for x, y in rng.uniform((0, 20), (WIDE, horizon - 20), (26, 2)):
        draw.ellipse((x, y, x + 2.5, y + 2.5), fill=(226, 226, 240))
    x, y, r = rng.uniform(90, WIDE - 90), rng.uniform(50, 76), rng.uniform(14, 22)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(238, 232, 204))


def _hills(draw: ImageDraw.ImageDraw, horizon: int, _: RGB, rng: Generator) -> None:
    for number, green in enumerate(((128, 152, 136), (104, 130, 108))):
        for x in rng.uniform(0, WIDE, 4):
            r = rng.uniform(70, 120)
            top = horizon - r * (0.5 - 0.14 * number)
            draw.ellipse((x - 1.6 * r, top, x + 1.6 * r, top + 2 * r), fill=green)


def _city(draw: ImageDraw.ImageDraw, horizon: int, _: RGB, rng: Generator) -> None:
    x = 0
    while x < WIDE:
        wide, high = int(rng.integers(24, 52)), int(rng.integers(34, 120))
        tone = shade((70, 66, 92), rng.uniform(0.8, 1.2))
        draw.rectangle((x, horizon - high, x + wide, horizon), fill=tone)
        for y in range(horizon - high + 8, horizon - 8, 16):
            draw.rectangle((x + wide / 2, y, x + wide / 2 + 4, y + 6), fill=(214, 190, 130))
        x += wide


def _arches(draw: ImageDraw.ImageDraw, horizon: int, wall: RGB, rng: Generator) -> None:
    wide = int(rng.integers(60, 84))
    for x in range(int(rng.integers(-wide, 0)), WIDE, wide):
        draw.rounded_rectangle((x + 8, 60, x + wide - 8, horizon + 40), 26, fill=shade(wall, 0.68))


_BACKDROPS = {
    "plain": _plain,
    "night": _night,
    "hills": _hills,
    "city": _city,
    "arches": _arches,
}
