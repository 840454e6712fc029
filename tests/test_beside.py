"""Word vectors and side input through a whole run, and out again when clips are described."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from reelscribe.datasets.clip import PARTS
from reelscribe.decoders.side import WithActions
from reelscribe.decoders.teller import Teller
from reelscribe.decoders.vocabulary import Vocabulary
from reelscribe.pipeline.checkpoint import learnt_from, load_head, read_manifest, save_learnt
from reelscribe.pipeline.config import load_config
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.files import read_json, read_jsonl
from reelscribe.pipeline.inputs import Place, gather, load_split
from reelscribe.pipeline.plan import plan
from reelscribe.pipeline.runs import train_run
from reelscribe.pipeline.stages import predict as predicting
from reelscribe.pipeline.stages.answering import Answerer
from reelscribe.pipeline.stages.describe import describe
from reelscribe.pipeline.stages.predict import predict
from reelscribe.pipeline.stages.train import made_of, train_head
from reelscribe.pipeline.tasks import Example
from reelscribe.pipeline.telling import choose_search

if TYPE_CHECKING:
    from conftest import Trained

WORDS = ("cat", "dog", "bird", "man")


def msrvtt(tmp_path: Path, *, categories: bool = True) -> list[str]:
    """Write sixteen videos of MSR-VTT as features and annotations; only the category tells them."""
    videos, sentences = [], []
    (tmp_path / "features").mkdir()
    for i, part in enumerate(["train"] * 8 + ["validate"] * 4 + ["test"] * 4):
        video = {"video_id": f"video{i}", "split": part, "url": f"u{i}"}
        videos.append(video | ({"category": i % 4} if categories else {}))
        # Frames of one value are nothing but zeros behind a LayerNorm.
        np.save(tmp_path / "features" / f"video{i}.npy", np.full((2, 3), i, np.float32))
        text = f"a {WORDS[i % 4]} is here"
        sentences += [{"video_id": f"video{i}", "caption": text, "sen_id": i}]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"videos": videos, "sentences": sentences}))
    return [
        f"data.annotations={path}",
        f"encoder.precomputed={tmp_path / 'features'}",
        "head={task: caption, cell: gru, family: mean, hidden: 16, embed: 8, min_count: 1}",
        "head.dropout=0",
        "head.beam=1",
        "head.side=category",
        "training={epochs: 60, batch: 8, lr: 2.0e-2, patience: 60}",
        f"output={tmp_path / 'run'}",
    ]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(cache=tmp_path / "store", runner=Runner(workers=1, local=True))


def test_a_category_is_learnt_and_need_not_be_known(tmp_path: Path, place: Place) -> None:
    config = load_config(Path("msrvtt"), msrvtt(tmp_path))
    material = gather(config, load_split(config), place)
    train_head(config, material, config.output)
    predict(config, material, config.output)
    rows = read_jsonl(tmp_path / "run" / "predictions.jsonl")
    assert [row["caption"] for row in rows] == [f"a {word} is here" for word in WORDS]
    # Described, nobody knows its category: one answer for all, and a right one for some.
    answerer = Answerer.load(tmp_path / "run", place)
    said = answerer.say([np.ones((2, 3), np.float32)] * 2)
    assert said[0] == said[1]
    assert said[0].caption in {f"a {word} is here" for word in WORDS}


def test_where_there_are_no_categories_none_can_be_told(tmp_path: Path, place: Place) -> None:
    settings = load_config(Path("msrvtt"), msrvtt(tmp_path, categories=False))
    with pytest.raises(ValueError, match=r"head\.side is category, and no training clip of msrvtt"):
        train_run(settings, place)


def test_vectors_are_where_the_training_starts(
    tmp_path: Path, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("cat 1 2 3 4 5 6 7 8\nzebra 0 0 0 0 0 0 0 0\nis 8 7 6 5 4 3 2 1\n")
    # A rate of next to nothing: what comes out is what went in.
    still = ["training={epochs: 1, lr: 1.0e-9, weight_decay: 0.0}", f"head.vectors={vectors}"]
    config = load_config(Path("msrvtt"), [*msrvtt(tmp_path), *still])
    material = gather(config, load_split(config), place)
    train_head(config, material, config.output)
    assert "vectors: 2 of 7 words of the vocabulary are in" in capsys.readouterr().err
    head, manifest = load_head(config.output)
    assert isinstance(head, Teller)
    row = head.embed.weight[manifest.words.index("cat")]
    torch.testing.assert_close(row, torch.arange(1.0, 9.0), atol=1e-6, rtol=0)
    # Another file is another training, whatever its name.
    before = made_of(config, material)["head"]["vectors"]
    vectors.write_text(vectors.read_text().replace("cat 1", "cat 2"))
    assert made_of(config, material)["head"]["vectors"] != before
    vectors.write_text("zebra 0 0 0 0 0 0 0 0\n")
    with pytest.raises(ValueError, match="has none of the 7 words of the training captions"):
        train_head(config, material, config.output)


def test_an_action_run_is_heard_and_is_not_needed_any_more(
    trained: Trained, tmp_path: Path
) -> None:
    actions = Path(shutil.copytree(trained.action, tmp_path / "actions"))
    settings = [
        *trained.settings("caption"),
        f"output={tmp_path / 'run'}",
        f"head.side={actions}",
    ]
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    train_run(load_config(Path("theatre_captions"), settings), place)
    shutil.rmtree(actions)
    head, manifest = load_head(tmp_path / "run")
    assert isinstance(head, Teller)
    assert isinstance(head.norm, WithActions)
    alone, _ = load_head(trained.action)
    kept = head.norm.head.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in alone.state_dict().items())
    assert manifest.head["side"]["kind"] == "action"
    clip = sorted(trained.clips.rglob("*.mp4"))[0]
    found = describe([clip], tmp_path / "out", place, caption=tmp_path / "run")
    assert found.records[0]["caption"]


def test_a_run_that_cannot_be_heard_is_refused(trained: Trained, tmp_path: Path) -> None:
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))

    def refused(*changes: str) -> None:
        asked = [*trained.settings("caption"), f"output={tmp_path / 'run'}", *changes]
        train_run(load_config(Path("theatre_captions"), asked), place)

    with pytest.raises(ValueError, match=r"head\.side .* holds a model for captions; give an act"):
        refused(f"head.side={trained.caption}")
    with pytest.raises(ValueError, match=r"head\.side: is category, or the folder of an action"):
        refused("head.side=catgory")
    with pytest.raises(ValueError, match=r"head\.vectors: .* is no file"):
        refused("head.vectors=nowhere.txt")
    with pytest.raises(ValueError, match=r"head\.side: category does not go with head\.consensus"):
        refused("head.side=category", "head.consensus=true")
    other = Path(shutil.copytree(trained.action, tmp_path / "other"))
    manifest: dict[str, Any] = read_json(other / "model.json")
    manifest["recipe"]["pool"] = "grid2"
    (other / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"was trained on other features \(pool"):
        refused(f"head.side={other}")


def test_a_run_that_learnt_from_the_test_clips_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(cache=trained.cache, runner=Runner(workers=1, local=True))
    actions = Path(shutil.copytree(trained.action, tmp_path / "actions"))
    asked = [*trained.settings("caption"), f"output={tmp_path / 'run'}", f"head.side={actions}"]
    config = load_config(Path("theatre_captions"), [*asked, "training.epochs=1"])
    material = gather(config, load_split(config), place)
    parts = {part: material.clips(part) for part in PARTS}
    hashes = {part: {material.contents[clip.path] for clip in parts[part]} for part in PARTS}
    assert learnt_from(trained.action) == frozenset(hashes["train"] | hashes["val"])
    train_run(config, place)

    # What is trained and up to date is refused as well: it would be scored.
    tested = parts["test"][0]
    save_learnt(actions, [*hashes["train"], material.contents[tested.path]])
    with pytest.raises(ValueError, match=f"has learnt from 1 test clips, first {tested.id}"):
        train_run(config, place)

    # A list of another training is no list.
    found = read_json(actions / "learnt.json")
    (actions / "learnt.json").write_text(json.dumps(found | {"numbers": "0" * 64}))
    capsys.readouterr()
    train_run(config, place)
    assert "says not what it has learnt from" in capsys.readouterr().err


@pytest.mark.parametrize("left", [None, "[]", "{"])
def test_a_run_from_before_such_lists_gets_one(
    tmp_path: Path, place: Place, left: str | None
) -> None:
    config = load_config(Path("msrvtt"), [*msrvtt(tmp_path), "training.epochs=1"])
    train_run(config, place)
    known = learnt_from(config.output)
    assert known is not None
    assert len(known) == 12
    (config.output / "learnt.json").unlink()
    if left is not None:
        (config.output / "learnt.json").write_text(left)
    assert learnt_from(config.output) is None
    train_run(config, place)
    assert learnt_from(config.output) == known


def test_a_run_that_is_told_categories_is_fresh_when_it_is_done(
    tmp_path: Path, place: Place
) -> None:
    config = load_config(Path("msrvtt"), [*msrvtt(tmp_path), "training.epochs=1"])
    split = load_split(config)
    train_run(config, place)
    assert [step.why for step in plan(config, split, place.cache) if not step.fresh] == []


def test_a_beam_for_the_validation_clips_to_choose_is_chosen_before_a_refit(
    tmp_path: Path, place: Place
) -> None:
    base = [*msrvtt(tmp_path), "training.epochs=1", "training.refit=true"]
    for beam in (1, "auto"):
        config = load_config(Path("msrvtt"), [*base, f"head.beam={beam}"])
        train_run(config, place)
    manifest = read_manifest(tmp_path / "run")
    assert manifest.trained["search"]["beam"] == manifest.search["beam"]


def test_a_beam_is_chosen_anew_for_another_search(tmp_path: Path, place: Place) -> None:
    base = [*msrvtt(tmp_path), "training.epochs=1", "head.beam=auto"]
    train_run(load_config(Path("msrvtt"), base), place)
    before = read_manifest(tmp_path / "run")
    seen: list[int] = []

    def watch(head: Teller, words: Vocabulary, clips: Sequence[Example], **fixed: int) -> Any:
        seen.append(fixed["no_repeat"])
        return choose_search(head, words, clips, **fixed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicting, "choose_search", watch)
        train_run(load_config(Path("msrvtt"), [*base, "head.no_repeat=2"]), place)
    after = read_manifest(tmp_path / "run")
    assert seen == [2]
    assert (before.search["no_repeat"], after.search["no_repeat"]) == (0, 2)
    assert before.numbers == after.numbers
