"""Seeing: what video pages show is what the heads do, frame by frame, in batches as alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.cells import Recurrent
from reelscribe.decoders.lens import attention, inputs, trace
from reelscribe.decoders.search import greedy
from reelscribe.decoders.vocabulary import SPECIALS
from reelscribe.pipeline.cache import Features, FeatureStore
from reelscribe.pipeline.checkpoint import Manifest
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.inputs import Place
from reelscribe.pipeline.segments import Segmentation
from reelscribe.pipeline.stages.answering import Answerer
from reelscribe.pipeline.stages.encode import origin
from reelscribe.pipeline.stages.seeing import see

T, D = 8, 5
WORDS = (*SPECIALS, "a", "dog", "runs")
WHOLE = Segmentation()


def answerer(tmp_path: Path, head: ActionHead | CaptionHead) -> Answerer:
    """A head with a store of features of T frames, a second apart, of three contents."""
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.8)
    ready = tmp_path / "ready"
    ready.mkdir(exist_ok=True)
    np.save(ready / "x.npy", np.ones((T, D), np.float32))
    made = origin(FramesConfig(count=T), EncoderConfig(precomputed=ready), tmp_path / "cache")
    generator = np.random.default_rng(0)
    for name in "abc":
        feats_TD = generator.normal(size=(T, D)).astype(np.float32)
        features = Features(feats_TD=feats_TD, pts_T=np.arange(T, dtype=float), about={})
        FeatureStore(tmp_path / "cache").write(name * 64, made.recipe, features)
    manifest = Manifest(
        task="action" if isinstance(head, ActionHead) else "caption",
        dim=D,
        head={},
        words=WORDS,
        recipe=made.recipe.settings,
        frames={},
        encoder={},
        search={},
        trained={},
    )
    place = Place(cache=tmp_path / "cache", runner=Runner(workers=1, local=True))
    return Answerer(head=head.eval(), manifest=manifest, origin=made, place=place, by="a test")


def record(*ends: float, caption: str | None = None) -> dict[str, Any]:
    starts = [0.0, *ends[:-1]]
    segments = [
        {"start": start, "end": end, "caption": caption}
        for start, end in zip(starts, ends, strict=True)
    ]
    return {"duration": ends[-1], "segments": segments}


def of(head: Answerer, name: str) -> torch.Tensor:
    features = head.read(Path(name), name * 64, head.origin)
    return torch.from_numpy(features.feats_TD)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_attention_and_gates_are_those_of_the_lens(tmp_path: Path, cell: str) -> None:
    torch.manual_seed(0)
    head = answerer(tmp_path, ActionHead(dim=D, classes=3, cell=cell, hidden=4))
    videos = {name * 64: Path(f"{name}.mp4") for name in "abc"}
    found = see([head], videos, dict.fromkeys(videos, record(8.0)), WHOLE)
    action = head.head
    assert isinstance(action, ActionHead)
    assert isinstance(action.cell, Recurrent)
    for name in "abc":
        (look,) = found[name * 64]
        assert look.times == list(range(T))
        weights_T = attention(action, of(head, name))
        assert weights_T is not None
        assert look.attention == pytest.approx(weights_T.tolist(), abs=1e-4)
        traces = trace(action.cell, inputs(action, of(head, name)))
        assert [one.backwards for one in look.readings] == [False, True]
        for mine, theirs in zip(look.readings, traces, strict=True):
            memory_TH = theirs.state_TH if theirs.cell_TH is None else theirs.cell_TH
            assert mine.norm == pytest.approx(memory_TH.norm(dim=1).tolist(), abs=1e-4)
            for gate, values_TH in theirs.gates.items():
                assert mine.gates[gate] == pytest.approx(values_TH.mean(1).tolist(), abs=1e-4)


def test_a_video_that_is_cut_is_seen_segment_by_segment(tmp_path: Path) -> None:
    """Eight frames, a second apart, cut at 3 s: three frames and five, each with a sum of 1."""
    head = answerer(tmp_path, ActionHead(dim=D, classes=3, hidden=4))
    seconds = Segmentation.parse("fixed:3s")
    found = see([head], {"a" * 64: Path("a.mp4")}, {"a" * 64: record(3.0, 8.0)}, seconds)
    looks = found["a" * 64]
    assert [list(look.times) for look in looks] == [[0, 1, 2], [3, 4, 5, 6, 7]]
    assert [sum(look.attention or ()) for look in looks] == pytest.approx([1, 1], abs=1e-3)


def test_a_head_that_thins_is_seen_at_the_frames_that_it_reads(tmp_path: Path) -> None:
    head = answerer(tmp_path, ActionHead(dim=D, classes=3, cell="none", thin=2))
    (look,) = see([head], {"a" * 64: Path("a.mp4")}, {"a" * 64: record(8.0)}, WHOLE)["a" * 64]
    assert list(look.times) == [2, 6]
    assert (look.attention, list(look.readings)) == (None, [])


def test_each_word_is_seen_where_the_search_had_looked(tmp_path: Path) -> None:
    torch.manual_seed(3)
    head = answerer(tmp_path, CaptionHead(dim=D, words=len(WORDS), hidden=4, embed=3))
    caption = head.head
    assert isinstance(caption, CaptionHead)
    for name in "abc":
        (said,) = greedy(caption, of(head, name)[None], torch.tensor([T]), max_words=4)
        text = head.manifest.vocabulary.decode(said.words)
        videos = {name * 64: Path("x.mp4")}
        (look,) = see([head], videos, {name * 64: record(8.0, caption=text)}, WHOLE)[name * 64]
        assert look.words is not None
        assert list(look.words.words) == text.split()
        for mine, theirs in zip(look.words.attention, said.attention, strict=True):
            assert mine == pytest.approx(theirs, abs=1e-4)


def test_words_that_the_head_does_not_know_are_others_and_it_never_looked_for_them(
    tmp_path: Path,
) -> None:
    head = answerer(tmp_path, CaptionHead(dim=D, words=len(WORDS), hidden=4, embed=3))
    videos = {"a" * 64: Path("a.mp4")}
    assert see([head], videos, {"a" * 64: record(8.0, caption="a cat runs")}, WHOLE) == {
        "a" * 64: []
    }
