"""The mission on real clips, where a folder of them is given: UCF101, MSVD, MSR-VTT."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform

from reelscribe.datasets.sampling import Sampling
from reelscribe.datasets.video import read_frames
from reelscribe.encoders.backbone import load_model
from reelscribe.pipeline.cache import FeatureStore
from reelscribe.pipeline.config import EncoderConfig, FramesConfig
from reelscribe.pipeline.execute import Runner
from reelscribe.pipeline.stages.encode import encode, prepare

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.slow
def test_features_equal_timms_own(real_data: Path, own_cache: Path) -> None:
    """Its transform and its model in torch, on real frames; complaint 18 (HERO#7: cosine .85)."""
    video = real_data / "ucf101" / "UCF-101" / "Archery" / "v_Archery_g01_c01.avi"
    encoding = prepare(FramesConfig(count=8), EncoderConfig(), own_cache)
    report = encode([video], encoding, Runner(workers=1, local=True))
    ours = FeatureStore(own_cache).read(report.contents[video], report.recipe)
    assert ours is not None
    backbone = encoding.backbone
    eval_transform = create_transform(
        input_size=(3, backbone.size, backbone.size),
        interpolation=backbone.interpolation,
        mean=backbone.mean,
        std=backbone.std,
        crop_pct=backbone.crop_pct,
    )
    frames = read_frames(video, Sampling(count=8)).frames_THWC
    images = torch.stack([eval_transform(Image.fromarray(frame)) for frame in frames])
    with torch.inference_mode():
        theirs = load_model("tf_efficientnet_lite0", "bundled", "avg").eval()(images).numpy()
    norms = np.linalg.norm(ours.feats_TD, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = (ours.feats_TD * theirs).sum(axis=1) / norms
    assert cosine.min() >= 0.999


@pytest.mark.slow
def test_captions_from_real_clips_and_real_annotations(
    real_data: Path, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    """Complaint 22 (hobincar/RecNet#9): what is missing is counted and named, never assumed."""
    sets = [
        f"data.root={real_data / 'msrvtt' / 'video'}",
        f"data.annotations={real_data / 'msrvtt'}",
        *("training.epochs=2", "head.hidden=32", "frames.count=4", "output=run"),
    ]
    command = ["train", "msrvtt", *(word for value in sets for word in ("--set", value))]
    refused = reelscribe(*command)
    assert refused.returncode == 2
    assert "9987 clips that the lists name are not under" in refused.stderr
    ended = reelscribe(*command, "--set", "data.missing=skip", "--json", "--local")
    assert ended.returncode == 0, ended.stderr
    scores = json.loads(ended.stdout)
    assert scores["subset"] is True
    assert (scores["missing"], scores["videos"], scores["references"]) == (9987, 4, 80)
    assert {"CIDEr", "METEOR", "Bleu_4", "ROUGE_L", "floor", "human", "ci95"} <= set(scores)
    assert (tmp_path / "run" / "report" / "index.html").is_file()


@pytest.mark.slow
def test_every_real_set_is_described(
    real_data: Path, tmp_path: Path, trained: object, reelscribe: Reelscribe
) -> None:
    sources = [
        *sorted((real_data / "ucf101" / "UCF-101" / "Archery").glob("*.avi"))[:2],
        *sorted((real_data / "msvd" / "video").glob("*.avi"))[:2],
        *sorted((real_data / "msrvtt" / "video").glob("*.mp4"))[:2],
        real_data / "hard",
    ]
    action = trained.action  # type: ignore[attr-defined]
    ended = reelscribe("describe", *sources, "--out", "out", "--action", action)
    assert ended.returncode == 3
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    ]
    # 16 files lie in hard/; one is no video, the list of frames, and is left out.
    assert len(rows) == 6 + 15
    failed = [Path(row["path"]).name for row in rows if row["status"] == "failed"]
    assert failed == ["decord_corrupted.mp4"]
