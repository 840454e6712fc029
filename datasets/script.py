"""What a made clip shows, and what is said of it: scenes, their captions, and slots read back.

Reads and writes nothing. A scene is drawn from (seed, index) alone, so one clip can be made again
without the others. Eight of the twelve actions are four pairs of twins: one is the other with its
frames in reverse order, so no model that forgets the order can tell them apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

COLOURS = ("red", "blue", "green", "yellow", "purple", "white")
BACKDROPS = ("plain", "night", "hills", "city", "arches")

WIDTH, HEIGHT = 192, 144
"""Pixels of a frame."""
RATE = 12
"""Frames a second."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One class: how it is played, and the words for it."""

    verb: str
    """The slot ``action``: ``walk``, ``sit`` ..."""
    direction: str | None = None
    """The slot ``direction``: left, right, up or down; None where there is none."""
    plays: str
    """The movement in figures.py that draws it."""
    backwards: bool = False
    """Whether the movement's frames are shown in reverse order."""
    twin: str | None = None
    """The action that has the same frames in reverse order."""
    phrases: tuple[tuple[str, str, str], ...]
    """What is said of it: (walks, walk, walking) with all that follows, the most usual first."""


def _say(*phrases: str, after: tuple[str, ...] = ("",)) -> tuple[tuple[str, str, str], ...]:
    """Spell out ``walks/walk/walking to the left`` as its three forms, for each ending."""
    forms = [tuple(phrase.split(" ", 1)[0].split("/")) for phrase in phrases]
    rests = [phrase.partition(" ")[2] for phrase in phrases]
    spelt = [
        tuple(" ".join(f"{form} {rest} {end}".split()) for form in form3)
        for end in after
        for form3, rest in zip(forms, rests, strict=True)
    ]
    return tuple((one, many, ing) for one, many, ing in spelt)


def _sideways(verb: str, forms: str, to: str, *, backwards: bool) -> Action:
    """Return an action that crosses the stage."""
    return Action(
        verb=verb,
        direction=to,
        plays=verb,
        backwards=backwards,
        twin=f"{verb}_{'right' if to == 'left' else 'left'}",
        phrases=_say(f"{forms} to the {to}", f"{forms} {to}", f"{forms} {to} across the stage"),
    )


ACTIONS: dict[str, Action] = {
    "walk_left": _sideways("walk", "walks/walk/walking", "left", backwards=True),
    "walk_right": _sideways("walk", "walks/walk/walking", "right", backwards=False),
    "run_left": _sideways("run", "runs/run/running", "left", backwards=True),
    "run_right": _sideways("run", "runs/run/running", "right", backwards=False),
    "sit_down": Action(
        verb="sit",
        direction="down",
        plays="sit",
        twin="stand_up",
        phrases=_say("sits/sit/sitting down", after=("on a chair", "", "on the stage")),
    ),
    "stand_up": Action(
        verb="stand",
        direction="up",
        plays="sit",
        backwards=True,
        twin="sit_down",
        phrases=_say("stands/stand/standing up", after=("from a chair", "", "on the stage")),
    ),
    "lie_down": Action(
        verb="lie",
        direction="down",
        plays="lie",
        twin="get_up",
        phrases=_say("lies/lie/lying down", after=("on a mat", "", "on the stage")),
    ),
    "get_up": Action(
        verb="get",
        direction="up",
        plays="lie",
        backwards=True,
        twin="lie_down",
        phrases=_say("gets/get/getting up", after=("from a mat", "", "on the stage")),
    ),
    "wave": Action(
        verb="wave",
        plays="wave",
        phrases=_say("waves/wave/waving", after=("", "on the stage", "at the audience")),
    ),
    "box": Action(
        verb="box",
        plays="box",
        phrases=_say("boxes/box/boxing", after=("", "on the stage", "in the air")),
    ),
    "jump": Action(
        verb="jump",
        plays="jump",
        phrases=_say("jumps/jump/jumping", after=("", "on the stage", "in the air")),
    ),
    "juggle": Action(
        verb="juggle",
        plays="juggle",
        phrases=_say(
            "juggles/juggle/juggling", after=("three balls", "three balls on the stage", "balls")
        ),
    ),
}
"""Label -> what it is. The order is the order of the class numbers."""
LABELS = tuple(ACTIONS)
TWINS = tuple(
    (label, action.twin)
    for label, action in ACTIONS.items()
    if action.twin and LABELS.index(label) < LABELS.index(action.twin)
)
"""Pairs of labels that the order of the frames alone tells apart."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that decides a clip's pixels and captions."""

    label: str
    """A name out of ``LABELS``."""
    colour: str
    """Out of ``COLOURS``: what the figures wear."""
    figures: int
    """1 or 2; two of them do the same."""
    frames: int
    """Length at ``RATE`` frames a second."""
    tempo: float
    """1 is the movement's usual speed."""
    size: float
    """Height of a figure over the height of the frame."""
    place: float
    """Where the figures are (or the middle of their way), -1 left to 1 right."""
    reach: float
    """How far a walk goes, 0 (short) to 1 (from wing to wing)."""
    depth: float
    """How near the front of the stage: 0 to 1."""
    mirrored: bool
    """Whether left and right are swapped in what a figure does on one spot."""
    backdrop: str
    """Out of ``BACKDROPS``."""
    brightness: float
    """Factor on every pixel."""
    noise: float
    """Standard deviation in grey levels of 255."""
    paint: int
    """Seed of the colours of the stage, the hair and the grain."""

    @property
    def slots(self) -> dict[str, str | None]:
        """What a caption has to name: count, colour, action, direction."""
        action = ACTIONS[self.label]
        return {
            "count": "two" if self.figures == 2 else "one",
            "colour": self.colour,
            "action": action.verb,
            "direction": action.direction,
        }

    def twin(self) -> Scene | None:
        """Return the scene with the same frames in reverse order; None where nothing plays it."""
        twin = ACTIONS[self.label].twin
        return None if twin is None else replace(self, label=twin)


def draw_scene(seed: int, index: int) -> Scene:
    """Draw the scene of clip ``index``: its label by turns, all else at random, independently."""
    rng = np.random.default_rng([seed, index])
    return Scene(
        label=LABELS[index % len(LABELS)],
        colour=COLOURS[int(rng.integers(len(COLOURS)))],
        figures=2 if rng.random() < 0.3 else 1,
        frames=int(rng.integers(18, 45)),
        tempo=round(float(rng.uniform(0.75, 1.3)), 3),
        size=round(float(rng.uniform(0.46, 0.62)), 3),
        place=round(float(rng.uniform(-1, 1)), 3),
        reach=round(float(rng.uniform(0, 1)), 3),
        depth=round(float(rng.uniform(0, 1)), 3),
        mirrored=bool(rng.random() < 0.5),
        backdrop=BACKDROPS[int(rng.integers(len(BACKDROPS)))],
        brightness=round(float(rng.uniform(0.75, 1.1)), 3),
        noise=round(float(rng.uniform(0, 7)), 2),
        paint=int(rng.integers(2**31)),
    )


def write_captions(scene: Scene, rng: Generator, count: int = 5) -> tuple[str, ...]:
    """Return ``count`` different captions of a scene; the usual wording is among them."""
    usual, *others = ACTIONS[scene.label].phrases
    said: list[str] = []
    while len(said) < count:
        phrase = usual if rng.random() < 0.6 else others[int(rng.integers(len(others)))]
        caption = _sentence(scene, phrase, rng)
        if caption not in said:
            said.append(caption)
    return tuple(said)


def _sentence(scene: Scene, phrase: tuple[str, str, str], rng: Generator) -> str:
    """Put one subject before one form of a phrase."""
    one, many, ing = phrase
    colour = scene.colour
    single = (f"a {colour} figure", f"a figure in {colour}", f"someone in {colour}")
    double = (f"two {colour} figures", f"two figures in {colour}", f"two people in {colour}")
    subjects = double if scene.figures == 2 else single
    subject = subjects[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
    if rng.random() < 0.6:
        return f"{subject} {'are' if scene.figures == 2 else 'is'} {ing}"
    return f"{subject} {many if scene.figures == 2 else one}"


def read_slots(caption: str) -> dict[str, str | None]:
    """Read count, colour, action and direction off a caption; None for what it does not name.

    The first word that names a slot counts, so ``two red figures and a blue one`` is red.
    """
    words = re.findall(r"[a-z]+", caption.lower())
    verbs = {
        form.split()[0]: action.verb
        for action in ACTIONS.values()
        for phrase in action.phrases
        for form in phrase
    }
    counts = {"a": "one", "someone": "one", "one": "one", "two": "two"}
    directions = {name: name for name in ("left", "right", "up", "down")}
    return {
        "count": _first(words[:1], counts),
        "colour": _first(words, {name: name for name in COLOURS}),
        "action": _first(words, verbs),
        "direction": _first(words, directions),
    }


def slot_accuracy(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return, for each slot, the share of captions that name it as the references do.

    What a clip's slot truly is, most of its references that name it say; a clip none of whose
    references names the slot does not count for it.
    """
    right: dict[str, list[bool]] = {}
    for caption, texts in zip(captions, references, strict=True):
        said, known = read_slots(caption), [read_slots(text) for text in texts]
        for slot, value in said.items():
            named = Counter(one[slot] for one in known if one[slot] is not None)
            if named:
                right.setdefault(slot, []).append(value == named.most_common(1)[0][0])
    return {slot: sum(marks) / len(marks) for slot, marks in right.items()}


def _first(words: list[str], meaning: dict[str, str]) -> str | None:
    """Return the meaning of the first word that has one."""
    return next((meaning[word] for word in words if word in meaning), None)
