"""What decides a feature's value, and how two of them differ in words."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelscribe.pipeline.recipe import Recipe, differences

Tree = dict[str, Any]

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.text("ab", max_size=3),
    st.lists(st.integers(0, 2), max_size=2),
)
TREES = st.recursive(
    st.dictionaries(st.sampled_from("pqr"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("pqr"), LEAVES | inner, max_size=3),
    max_leaves=8,
)


def test_the_key_can_be_computed_by_hand() -> None:
    recipe = Recipe(settings={"version": 1, "frames": {"count": 16}})
    assert recipe.text == '{"frames":{"count":16},"version":1}'
    assert recipe.fingerprint == hashlib.sha256(recipe.text.encode()).hexdigest()[:16]


def test_the_order_of_the_settings_is_no_setting() -> None:
    assert Recipe(settings={"a": 1, "b": 2}).fingerprint == "43258cff783fe703"
    assert Recipe(settings={"b": 2, "a": 1}).fingerprint == "43258cff783fe703"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"frames": {"count": 16}}, {"frames": {"count": 32}}, ["frames.count 16 -> 32"]),
        (
            {"frames": {"count": 16}},
            {"frames": {"fps": 2.0}},
            ["frames.count 16 -> (none)", "frames.fps (none) -> 2.0"],
        ),
        (
            {"encoder": {"weights": "a" * 64}},
            {"encoder": {"weights": "b" * 64}},
            ["encoder.weights aaaaaaaaaaaa... -> bbbbbbbbbbbb..."],
        ),
        ({"fps": 2}, {"fps": 2.0}, ["fps 2 -> 2.0"]),
        ({"flag": 1}, {"flag": True}, ["flag 1 -> true"]),
        ({"a": None}, {}, ["a null -> (none)"]),
        ({"a": {}}, {}, ["a {} -> (none)"]),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}, []),
    ],
)
def test_a_difference_in_words(old: Tree, new: Tree, lines: list[str]) -> None:
    """Complaint 18 (pytorch/vision#8382): one name gave other features, and none said why."""
    assert differences(old, new) == lines


@given(TREES, TREES)
def test_there_are_words_exactly_where_the_key_differs(old: Tree, new: Tree) -> None:
    same = Recipe(settings=old).fingerprint == Recipe(settings=new).fingerprint
    assert (differences(old, new) == []) == same


@given(TREES)
def test_a_recipe_survives_its_file(settings: Tree) -> None:
    again = Recipe(settings=json.loads(json.dumps(settings)))
    assert again.fingerprint == Recipe(settings=settings).fingerprint


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        _ = Recipe(settings={"fps": float("nan")}).fingerprint
