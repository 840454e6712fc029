"""The command line, as a process: exit codes, one line for a mistake, and a help that answers."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from reelscribe.pipeline.cli import app

Reelscribe = Callable[..., "subprocess.CompletedProcess[str]"]
REELSCRIBE = Path(sys.executable).parent / "reelscribe"
README = (Path(__file__).parents[1] / "README.md").read_text()


def commands(group: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{prefix}{name} ")
        else:
            found[f"{prefix}{name}"] = command
    return found


COMMANDS = commands(get_command(app))


def test_all_commands_of_the_contract_are_there() -> None:
    assert set(COMMANDS) == {
        *("demo", "describe", "encode", "train", "evaluate", "compare", "score", "plan", "doctor"),
        *("lens", "memory"),
        *("cache list", "cache why", "cache verify", "cache prune"),
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_documented(name: str) -> None:
    assert f"reelscribe {name}" in README
    assert "Example: `reelscribe " in (COMMANDS[name].help or "")


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_the_contract(name: str) -> None:
    options = {option for param in COMMANDS[name].params for option in param.opts}
    works = {"describe", "encode", "train", "evaluate", "compare", "demo", "lens"}
    if name in works:
        assert {"--workers", "--ray-address", "--local"} <= options
    if name != "demo":
        assert "--json" in options
    if name in {"encode", "train", "evaluate", "compare", "plan", "doctor", "cache why"}:
        assert "--set" in options


def test_help_answers_at_once() -> None:
    """Half a second at most; the best of three, for this machine may be busy."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        shown = subprocess.check_output([REELSCRIBE, "--help"], text=True)
        took.append(time.perf_counter() - began)
    assert "describe" in shown
    assert min(took) < 0.5


def test_all_mistakes_of_a_config_at_once(tmp_path: Path, reelscribe: Reelscribe) -> None:
    (tmp_path / "bad.yaml").write_text(
        "data: {dataset: ucf101, root: nowhere, splitt: 1}\n"
        "frames: {count: -3}\n"
        "encoder: {backbone: resnet5}\n"
        "head: {task: action, cell: lstn, hiden: 5}\n"
        "training: {lr: 1e-4, epochs: many}\n"
    )
    ended = reelscribe("train", "bad.yaml")
    assert ended.returncode == 2
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert [line.split(": ")[2] for line in lines] == [
        *("data.root", "data.splitt", "frames.count", "encoder.backbone"),
        *("head.cell", "head.hiden", "training.epochs"),
    ]
    assert "did you mean 'split'?" in lines[1]
    assert "did you mean 'lstm'?" in lines[4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "nothing"], "no config 'nothing'"),
        (["train", "theatre", "--set", "frames.count"], "--set takes key.path=value"),
        (["encode", "theatre", "--workers", "0"], "--workers is a number of processes"),
        (["encode", "theatre", "--local", "--ray-address", "x:1"], "give one of them"),
        (["cache", "prune", "--recipe", "abc"], "no recipe 'abc' in the store"),
        (["cache", "why", "gone.mp4"], "'gone.mp4' is no file"),
        (["score", "--predictions", "p.json", "--references", "r.json"], "p.json"),
        (["trian", "theatre"], "No such command 'trian'"),
    ],
)
def test_a_mistake_ends_with_2_and_no_traceback(
    reelscribe: Reelscribe, arguments: list[str], said: str
) -> None:
    ended = reelscribe(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_our_own_bugs_end_with_1_and_their_traceback() -> None:
    code = (
        "import reelscribe.pipeline.cli as cli, reelscribe.pipeline.housekeeping as h\n"
        "def broken(store): return int('a library says so'.index('z'))\n"
        "h.holdings = broken\n"
        "import sys; sys.argv = ['reelscribe', 'cache', 'list']; cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


@pytest.mark.slow
def test_an_interrupted_run_ends_with_130_and_goes_on(
    trained: Any, tmp_path: Path, reelscribe: Reelscribe
) -> None:
    folder = tmp_path / "many"
    for n, video in enumerate(sorted(Path(trained.clips).rglob("*.mp4"))):
        folder.mkdir(exist_ok=True)
        copy = Path(shutil.copy(video, folder / f"{n}.mp4"))
        copy.write_bytes(copy.read_bytes() + b"\0\0\0\x08free")
    run = subprocess.Popen(
        [REELSCRIBE, "encode", folder, "--set", "frames.count=64", "--workers", "1"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    said = next(line for line in run.stderr if line.startswith("encode: ") and "/36, " in line)
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 130, said + errors
    assert time.monotonic() - began < 10
    assert "the same command goes on" in errors
    assert "Traceback" not in errors


def test_the_store_answers(trained: Any, reelscribe: Reelscribe) -> None:
    video, *others = sorted(Path(trained.clips).rglob("*.mp4"))[:3]
    reelscribe("encode", video, *others, "--local", "--set", "frames.count=4")
    held = json.loads(reelscribe("cache", "list", "--json").stdout)
    assert [(h["videos"], h["settings"]["frames"]) for h in held] == [(3, {"count": 4})]
    why = reelscribe("cache", "why", video, "--set", "frames.count=8").stdout
    assert "miss" in why
    assert "frames.count 4 -> 8" in why
    assert "hit" in reelscribe("cache", "why", video, "--set", "frames.count=4").stdout
    assert json.loads(reelscribe("cache", "verify", "--json").stdout) == {
        "whole": 3,
        "removed": [],
    }
    assert reelscribe("cache", "prune", "--dry-run").returncode == 0


def test_doctor_and_plan_answer(
    trained: Any, monkeypatch: pytest.MonkeyPatch, reelscribe: Reelscribe
) -> None:
    monkeypatch.setenv("REELSCRIBE_CACHE", str(trained.cache))
    sets = [word for value in trained.settings("action") for word in ("--set", value)]
    found = reelscribe("doctor", "theatre", *sets)
    assert found.returncode == 0
    assert "36 of 36 clips are there" in found.stdout
    steps = json.loads(reelscribe("plan", "theatre", *sets, "--json").stdout)
    assert [step["stage"] for step in steps if step["fresh"]] == [
        *("encode", "train", "predict", "evaluate"),
    ]
