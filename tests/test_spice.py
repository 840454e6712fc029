"""SPICE without its models: the reason is named, and the other metrics are there all the same."""

from __future__ import annotations

from pathlib import Path

from reelscribe.pipeline.metrics import score_captions
from reelscribe.pipeline.metrics.spice import NEEDED

SAID, AGAINST = {"a": "a cat", "b": "a dog"}, {"a": ["a cat"], "b": ["the dog"]}


def test_a_folder_without_the_jars(tmp_path: Path) -> None:
    """Complaint 20 (coco-caption#59): SPICE wants a download that is dead."""
    found = score_captions(SAID, AGAINST, metrics=["CIDEr"], spice=tmp_path)
    assert list(found.corpus) == ["CIDEr"]
    assert found.left_out == {
        "SPICE": f"{tmp_path} lacks stanford-corenlp-3.6.0.jar and "
        f"stanford-corenlp-3.6.0-models.jar; get Stanford CoreNLP 3.6.0"
    }


def test_jars_that_are_none(tmp_path: Path) -> None:
    """Complaint 20 (pycocoevalcap#21): the real program fails, and says why in one line."""
    for name in NEEDED:
        (tmp_path / name).write_bytes(b"no jar")
    found = score_captions(SAID, AGAINST, metrics=["CIDEr"], spice=tmp_path)
    assert list(found.corpus) == ["CIDEr"]
    assert found.left_out["SPICE"].startswith("SPICE failed (exit code 1): ")
    assert "\n" not in found.left_out["SPICE"]
