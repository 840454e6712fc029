"""Self-critical training and scheduled sampling on features that name their captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
import torch

from reelscribe.decoders.caption import CaptionHead
from reelscribe.decoders.search import greedy, sample
from reelscribe.decoders.vocabulary import END, START, Vocabulary
from reelscribe.pipeline import training
from reelscribe.pipeline.config import TrainingConfig
from reelscribe.pipeline.loading import pad
from reelscribe.pipeline.selfcritical import SAMPLES, SelfCritical
from reelscribe.pipeline.tasks import CaptionTask, Example
from reelscribe.pipeline.training import fit

WORDS = ("red", "green", "blue", "white", "black", "grey", "pink", "brown")
DOES = ("runs left", "sits", "jumps up", "falls down", "waves", "sleeps", "turns right", "bows")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic is what is asked here, of tensors that are made by hand."""
    monkeypatch.setenv("REELSCRIBE_DEVICE", "cpu")


def examples(spoilt: bool = False) -> list[Example]:
    """Eight clips; ``spoilt`` gives each two captions of strangers beside its three own."""
    clips = []
    for i, (colour, does) in enumerate(zip(WORDS, DOES, strict=True)):
        own = [f"a {colour} figure {does}", f"the {colour} figure {does}", f"a {colour} one {does}"]
        others = [f"a {WORDS[(i + k) % 8]} figure {DOES[(i + k) % 8]}" for k in (1, 2)]
        feats_TD = torch.eye(8)[i].repeat(3, 1) + 0.01 * torch.arange(3)[:, None]
        captions = tuple(own + others * spoilt)
        clips.append(Example(name=f"clip{i}", feats_TD=feats_TD, captions=captions))
    return clips


def make(clips: list[Example], **settings: Any) -> CaptionTask:
    vocabulary = Vocabulary.build([text for one in clips for text in one.captions], min_count=1)
    torch.manual_seed(0)
    head = CaptionHead(
        dim=8, words=len(vocabulary), hidden=32, embed=16, bidirectional=False, dropout=0.0
    )
    return CaptionTask(head, clips, examples(), vocabulary, batch=24, max_words=6, **settings)


@pytest.mark.parametrize("scheduled_sampling", [0.0, 0.25])
def test_eight_clips_are_learnt_by_heart_in_seconds(
    tmp_path: Path, scheduled_sampling: float
) -> None:
    """Issue 5: CIDEr of 5 or more on what was trained on; else something is broken."""
    task = make(examples(), label_smoothing=0.05, scheduled_sampling=scheduled_sampling)
    began = perf_counter()
    state = fit(task, TrainingConfig(epochs=60, lr=0.02, patience=60), tmp_path, made_of="x")
    assert state.best_score >= 5
    assert perf_counter() - began < 30


def test_scheduled_sampling_keeps_the_start_and_the_ends() -> None:
    task = make(examples(), scheduled_sampling=0.999999)
    words_BL = torch.tensor([[START, 4, 5, 6], [START, 7, END, 0]])
    feats_BTD = torch.rand(2, 3, 8)
    own_BL = task._own(feats_BTD, torch.tensor([3, 2]), words_BL)
    assert own_BL[:, 0].tolist() == [START, START]
    assert own_BL[1, 3] == 0
    assert not (own_BL[:, 1:] == START).any()
    task.scheduled_sampling = 1e-9
    assert torch.equal(task._own(feats_BTD, torch.tensor([3, 2]), words_BL), words_BL)


def trained(folder: Path) -> CaptionTask:
    task = make(examples(spoilt=True))
    fit(task, TrainingConfig(epochs=8, lr=0.01, patience=8), folder, made_of="x")
    return task


@torch.no_grad()
def score(task: CaptionTask) -> float:
    return task.validate()[0]


@pytest.mark.parametrize(
    ("baseline", "temperature"), [("greedy", 1.0), ("samples", 1.0), ("samples", 0.5)]
)
def test_it_raises_cider_over_its_start(tmp_path: Path, baseline: str, temperature: float) -> None:
    task = trained(tmp_path / "loss")
    before = score(task)
    settings = TrainingConfig(epochs=30, lr=0.003, patience=30)
    critic = SelfCritical(task, baseline=baseline, temperature=temperature)
    state = fit(critic, settings, tmp_path / "scst", made_of="x")
    assert state.best_score > before + 0.5
    assert score(task) == pytest.approx(state.best_score)


@torch.no_grad()
def test_a_caption_is_held_against_greedys_or_against_the_others(tmp_path: Path) -> None:
    with torch.enable_grad():
        task = trained(tmp_path)
    for baseline in ("greedy", "samples"):
        critic = SelfCritical(task, baseline=baseline)
        batch = next(critic.batches(torch.Generator().manual_seed(0)))
        task.head.eval()
        torch.manual_seed(0)
        drawn, better_B = critic._draw(
            batch, *pad([clip.feats_TD for clip in batch], torch.device("cpu"))
        )
        scores = critic._rewards(batch, drawn).view(len(batch), SAMPLES).tolist()
        feats_BTD, lengths_B = pad([clip.feats_TD for clip in batch], task.device)
        first = greedy(task.head, feats_BTD, lengths_B, max_words=task.max_words)
        alone = critic._rewards(batch, [one.words for one in first]).tolist()
        for i, row in enumerate(scores):
            for k, score in enumerate(row):
                others = (sum(row) - score) / (SAMPLES - 1)
                held = alone[i] if baseline == "greedy" else others
                assert float(better_B[i * SAMPLES + k]) == pytest.approx(score - held, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@torch.no_grad()
def test_the_log_probability_is_that_of_the_caption_that_was_drawn(
    tmp_path: Path, temperature: float
) -> None:
    with torch.enable_grad():
        task = trained(tmp_path)
    critic = SelfCritical(task, temperature=temperature)
    feats_BTD, lengths_B = torch.eye(8)[:1, None].repeat(1, 3, 1), torch.tensor([3])
    logprobs_BL, there_BL = critic._logprobs(feats_BTD, lengths_B, [[4, 5]])
    assert there_BL.tolist() == [[True, True, True]]
    state, total, last = task.head.begin(feats_BTD, lengths_B), 0.0, START
    for place, word in enumerate((4, 5, END)):
        row_BV, state, _ = task.head.step(torch.tensor([last]), state)
        row_BV[:, [0, START, 3]] = -torch.inf
        if place == 0:
            row_BV[:, END] = -torch.inf
        total += float((row_BV / temperature).log_softmax(1)[0, word])
        last = word
    assert float(logprobs_BL.sum()) == pytest.approx(total, abs=1e-5)
    # At the limit of 6 words an END is forced, and no word more is counted.
    _, there_BL = critic._logprobs(feats_BTD, lengths_B, [[4, 5, 6, 4, 5, 6]])
    assert there_BL.sum() == 6


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@torch.no_grad()
def test_a_sample_follows_the_probabilities(tmp_path: Path, temperature: float) -> None:
    with torch.enable_grad():
        task = trained(tmp_path)
    feats_BTD = torch.eye(8)[:1, None].repeat(2000, 3, 1)
    torch.manual_seed(1)
    drawn = sample(
        task.head, feats_BTD, torch.full((2000,), 3), max_words=6, temperature=temperature
    )
    first_BV, _, _ = task.head.step(
        torch.tensor([START]), task.head.begin(feats_BTD[:1], torch.tensor([3]))
    )
    first_BV[:, [0, START, END, 3]] = -torch.inf
    for word, chance in enumerate((first_BV / temperature).softmax(1)[0].tolist()):
        share = sum(words[0] == word for words in drawn) / 2000
        assert share == pytest.approx(chance, abs=0.04)
    assert all(1 <= len(words) <= 6 and END not in words for words in drawn)


def test_every_clip_is_drawn_once_an_epoch(tmp_path: Path) -> None:
    critic = SelfCritical(make(examples()))
    batches = list(critic.batches(torch.Generator().manual_seed(0)))
    assert len(batches) == critic.steps == -(-8 // (24 // SAMPLES))
    assert sorted(name for batch in batches for name in critic.names(batch)) == [
        f"clip{i}" for i in range(8)
    ]


def test_resumed_is_the_same_as_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    settings = TrainingConfig(epochs=4, lr=0.003, patience=4)
    whole = trained(tmp_path / "a")
    fit(SelfCritical(whole), settings, tmp_path / "whole", made_of="x")

    def cut(row: Any) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    critic = SelfCritical(trained(tmp_path / "b"))
    with pytest.raises(KeyboardInterrupt):
        fit(critic, settings, tmp_path / "cut", made_of="x", told=cut)
    rest = trained(tmp_path / "c")
    fit(SelfCritical(rest), settings, tmp_path / "cut", made_of="x", resume=True)
    for name, value in whole.head.state_dict().items():
        assert torch.equal(value, rest.head.state_dict()[name]), name
