"""A head on disk gives the same answers, and what is damaged or foreign is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from reelscribe.decoders import CELLS
from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.vocabulary import SPECIALS
from reelscribe.pipeline import checkpoint
from reelscribe.pipeline.checkpoint import Manifest, load_head, read_manifest, save_head
from reelscribe.pipeline.recipe import Recipe

RECIPE = {"version": 1, "frames": {"count": 16}, "encoder": {"backbone": "lite0"}}


def manifest(task: str = "action", cell: str = "lstm") -> Manifest:
    settings = {"cell": cell, "hidden": 8, "layers": 1, "bidirectional": True, "dropout": 0.5}
    action = task == "action"
    return Manifest(
        task=task,
        dim=6,
        head=settings if action else {**settings, "embed": 4},
        labels=("run", "sit", "\u00e9") if action else (),
        words=() if action else (*SPECIALS, "a", "cat"),
        recipe=RECIPE,
        frames={"count": 16},
        encoder={"backbone": "lite0"},
        search={} if action else {"beam": 5},
        calibration={"temperature": 1.5, "threshold": 0.5, "similarity": 0.2} if action else {},
        trained={"dataset": "theatre", "best": 0.5},
    )


def saved(run: Path, about: Manifest | None = None) -> Path:
    about = about or manifest()
    save_head(run, about.build(), about)
    return run


def edit(run: Path, **values: Any) -> None:
    path = run / "model.json"
    kept = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in kept.items() if value != "GONE"}))


def refusal(run: Path) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        load_head(run)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(str(run), "RUN")


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", ["action", "caption"])
def test_answers_are_equal_bit_by_bit(tmp_path: Path, task: str, cell: str) -> None:
    torch.manual_seed(0)
    about = manifest(task, cell)
    head = about.build().eval()
    save_head(tmp_path, head, about)
    again, told = load_head(tmp_path)
    assert not again.training
    assert (told.labels, told.words, told.recipe) == (about.labels, about.words, RECIPE)
    feats_BTD, lengths_B = torch.randn(2, 5, 6), torch.tensor([5, 3])
    if isinstance(head, ActionHead):
        assert isinstance(again, ActionHead)
        assert torch.equal(head(feats_BTD, lengths_B), again(feats_BTD, lengths_B))
    else:
        assert isinstance(again, CaptionHead)
        words_BL = torch.tensor([[1, 4, 5], [1, 5, 4]])
        assert torch.equal(
            head(feats_BTD, lengths_B, words_BL), again(feats_BTD, lengths_B, words_BL)
        )


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path, value: object) -> None:
        assert (tmp_path / "model.safetensors").is_file()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            saved(tmp_path)
    assert refusal(tmp_path) == "RUN holds no trained model (no model.json); train it first"


def test_halves_of_two_trainings_are_refused(tmp_path: Path) -> None:
    """Killed between the two files of a second training: both are whole, and not one model."""
    saved(tmp_path)
    old = (tmp_path / "model.json").read_bytes()
    saved(tmp_path)
    (tmp_path / "model.json").write_bytes(old)
    assert "model.safetensors is damaged or not what model.json describes" in refusal(tmp_path)


@pytest.mark.parametrize("how", ["empty", "half", "last byte", "a bit", "more", "none"])
def test_damaged_numbers_are_refused(tmp_path: Path, how: str) -> None:
    path = saved(tmp_path) / "model.safetensors"
    data = path.read_bytes()
    flipped = data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]
    damaged = {"empty": b"", "half": data[: len(data) // 2], "last byte": data[:-1]}
    path.write_bytes({**damaged, "a bit": flipped, "more": data + b"\0"}.get(how, data))
    if how == "none":
        path.unlink()
    assert refusal(tmp_path).startswith("RUN/model.safetensors is damaged or not what model.json")
    assert refusal(tmp_path).endswith("train again")


def test_numbers_of_another_head_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    edit(tmp_path, dim=7)
    assert "model.safetensors is damaged or not what model.json describes" in refusal(tmp_path)


@pytest.mark.parametrize("words", [4, 5, 6, 40])
def test_a_vocabulary_of_another_run_is_refused(tmp_path: Path, words: int) -> None:
    """Also one of the very size, whose words the numbers would fit."""
    saved(tmp_path, manifest("caption"))
    others = [*SPECIALS, *(f"other{i}" for i in range(words - len(SPECIALS)))]
    edit(tmp_path, words=others)
    assert "model.safetensors is damaged or not what model.json describes" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"version": 1}, "RUN/model.json is not a model of this version (2); train it again"),
        ({"calibration": {"temperature": 1.0}}, "'calibration' has not all its numbers"),
        ({"version": "GONE"}, "is not a model of this version (2)"),
        ({"labels": "GONE"}, "'labels' is missing or no tuple"),
        ({"labels": "abc"}, "'labels' is missing or no tuple"),
        ({"recipe": None}, "'recipe' is missing or no Mapping"),
        ({"numbers": "GONE"}, "'numbers' is missing or no str"),
        ({"dim": "6"}, "'dim' is missing or no int"),
        ({"dim": -6}, "train again"),
        ({"task": "acton"}, "no head 'acton'; there are: action, caption; did you mean 'action'?"),
        ({"head": {"cell": "os:system"}}, "os:system"),
        ({"head": {"cel": "lstm"}}, "unexpected keyword argument 'cel'"),
        ({"head": {"dim": 3}}, "multiple values"),
        ({"head": {"hidden": "big"}}, "train again"),
    ],
)
def test_a_foreign_manifest_is_refused(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    saved(tmp_path)
    edit(tmp_path, **values)
    assert said in refusal(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (saved(tmp_path) / "model.json").write_text(text)
    assert "RUN/model.json is not" in refusal(tmp_path)


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    head = manifest().build()
    saved(tmp_path)
    torch.save(head.state_dict(), tmp_path / "model.safetensors")
    assert "damaged" in refusal(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(save({"other": torch.zeros(1)}))
    assert "damaged" in refusal(tmp_path)


def test_features_of_another_recipe_are_refused_in_words(tmp_path: Path) -> None:
    """Complaint 18 (HERO_Video_Feature_Extractor#7): a head was fed features of other weights."""
    told = read_manifest(saved(tmp_path / "run"))
    told.refuse_other_features(Recipe(settings=RECIPE), Path("run"))
    other = Recipe(settings={**RECIPE, "frames": {"count": 32}})
    with pytest.raises(ValueError, match=r"^run was .* features \(frames\.count 16 -> 32\); set"):
        told.refuse_other_features(other, Path("run"))
