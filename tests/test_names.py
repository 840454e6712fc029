"""Names in configs become objects, and misspelt ones a guess."""

from __future__ import annotations

from collections import OrderedDict

import pytest

from reelscribe.pipeline.names import among, guess, resolve

TABLE = {"ordered": "collections:OrderedDict", "module": "collections", "broken": "no.such:thing"}


def test_a_name_is_imported() -> None:
    assert resolve(TABLE, "ordered", "thing") is OrderedDict
    assert resolve(TABLE, "module", "thing").OrderedDict is OrderedDict


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("orderd", "; did you mean 'ordered'?"),
        ("xyz", "broken"),
        ("", "broken"),
        ("a\nb", "broken"),
    ],
)
def test_an_unknown_name_lists_what_there_is(name: str, ending: str) -> None:
    with pytest.raises(ValueError, match="no thing") as caught:
        resolve(TABLE, name, "thing")
    text = f"no thing {name!r}; there are: ordered, module, broken"
    assert str(caught.value) == text.removesuffix("broken") + "broken" * (ending[0] == ";") + ending
    assert "\n" not in str(caught.value)


def test_a_name_is_never_a_module_of_the_users_choice() -> None:
    with pytest.raises(ValueError, match="no thing 'os:system'"):
        resolve(TABLE, "os:system", "thing")


def test_what_is_there_is_returned() -> None:
    assert among(TABLE, "broken", "thing") == "broken"


def test_guess() -> None:
    assert guess("lsmt", ["rnn", "lstm"]) == "; did you mean 'lstm'?"
    assert guess("conv", ["rnn", "lstm"]) == ""
    assert guess("", []) == ""
