"""The config: every mistake at once, one line each, nothing executed, every shipped recipe good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reelscribe.pipeline.config import (
    SHIPPED,
    ActionConfig,
    CaptionConfig,
    Config,
    EncoderConfig,
    FramesConfig,
    load_config,
    override,
    parse_section,
    resolved_yaml,
)

GOOD = {
    "data": {"dataset": "theatre"},
    "head": {"task": "action", "cell": "lstm"},
    "output": "runs/x",
}


def load(tmp_path: Path, values: object, *sets: str) -> Config:
    path = tmp_path / "c.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return load_config(path, sets)


def lines_of(tmp_path: Path, values: object, *sets: str) -> list[str]:
    with pytest.raises(ValueError, match=r".") as caught:
        load(tmp_path, values, *sets)
    return str(caught.value).replace(f"{tmp_path}/c.yaml: ", "").split("\n")


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.yaml")))
def test_every_shipped_recipe_loads(name: str, tmp_path: Path) -> None:
    sets = [f"data.root={tmp_path}"]
    if "annotations" in yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())["data"]:
        sets.append(f"data.annotations={tmp_path}")
    config = load_config(Path(name), sets)
    assert config.data.root == tmp_path
    assert config.output == Path("runs") / name
    assert load(tmp_path, resolved_yaml(config)) == config


def test_the_defaults() -> None:
    config = Config.model_validate(GOOD)
    assert config.frames.sampling().count == 16
    assert config.training.lr == 0.001
    assert (config.encoder.weights, config.data.split) == ("bundled", "1")


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    lines = lines_of(
        tmp_path,
        {
            "data": {"dataset": "ucf11", "root": "/no/such/folder", "splitt": 1},
            "frames": {"count": -16, "fps": 2.0, "at_most": "many"},
            "encoder": {"backbone": "resnet5o", "weights": "no.pth", "pool": "grid9"},
            "head": {
                "task": "caption",
                "cell": "lsmt",
                "beams": 5,
                "dropout": 1.0,
                "hidden": "big",
            },
            "training": {"epochs": 2.5, "lr": "fast", "warmup": -0.1, "patience": True},
            "trainig": {},
        },
    )
    expected = [
        "data.dataset: no dataset 'ucf11'; there are: ucf101, hmdb51, kinetics, msrvtt, msvd, "
        "folder, theatre; "
        "did you mean 'ucf101'?",
        "data.root: /no/such/folder does not exist (looked from",
        "data.splitt: no such key; there are: dataset, root, annotations, split, seed, clips, "
        "groups, missing, leaks, reversed, trim; did you mean 'split'?",
        "frames.count: input should be greater than or equal to 1, got -16",
        "frames.fps: give either count (frames a video), fps (frames a second) or keyframes",
        "frames.at_most: input should be a valid integer",
        "encoder.backbone: no backbone 'resnet5o'; allowed are timm's names, such as "
        "tf_efficientnet_lite0; did you mean 'resnet50'?",
        "encoder.weights: no file 'no.pth'; allowed: bundled, hub, or the path of a file",
        "encoder.pool: input should be 'avg', 'avgmax', 'grid2', 'grid3' or 'grid4', got 'grid9'",
        "head.cell: no cell 'lsmt'; there are: lstm, gru, rnn, transformer, none; did you mean",
        "head.beams: no such key; there are: cell, ",
        "head.dropout: input should be less than 1, got 1.0",
        "head.hidden: input should be a valid integer",
        "training.epochs: input should be a valid integer",
        "training.lr: input should be a valid number",
        "training.warmup: input should be greater than or equal to 0, got -0.1",
        "training.patience: takes no yes or no, got True",
        "trainig: no such key; there are: data, frames, encoder, head, training, output; did you",
    ]
    assert len(lines) == len(expected), lines
    for beginning in expected:
        assert sum(line.startswith(beginning) for line in lines) == 1, (beginning, lines)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("frames={}", "frames.fps: give either count"),
        ("frames={count: 4, at_most: 2}", "frames.at_most: goes with fps"),
        ("frames.count=0", "frames.count: input should be greater than or equal to 1"),
        ("frames.count=10000000000000000000000", "frames.count: "),
        ("frames.fps=.nan", "frames.fps: input should be a finite number"),
        ("frames.fps=.inf", "frames.fps: input should be a finite number"),
        ("training.lr=.nan", "training.lr: input should be a finite number"),
        ("training.lr='inf'", "training.lr: input should be a finite number"),
        ("training.lr=1e300", "training.lr: input should be less than or equal to 1000000"),
        ("training.lr=yes", "training.lr: takes no yes or no, got True"),
        ("training.weight_decay=.inf", "training.weight_decay: "),
        ("training.clip_norm=-1", "training.clip_norm: input should be greater than or equal to 0"),
        ("training.seed=-1", "training.seed: input should be greater than or equal to 0"),
        ("training.seed=4294967296", "training.seed: input should be less than 4294967296"),
        ("data.seed=-1", "data.seed: "),
        ("data.split=yes", "data.split: "),
        ("head.layers=1000000", "head.layers: input should be less than or equal to 100"),
        ("head.hidden=1000000", "head.hidden: input should be less than or equal to 65536"),
        ("head.cell=null", "head.cell: input should be a valid string, got None"),
        ("head={cell: lstm}", "head: task is missing or unknown; allowed: action, caption"),
        ("head={task: caption, beam: 0}", "head.beam: is a number from 1 to 100, or auto; got 0"),
        ("head={task: action, beam: 5}", "head.beam: no such key; there are: cell, "),
        ("head.task=acton", "head: task is missing or unknown; allowed: action, caption"),
        ("frames=null", "frames: input should be a valid dictionary"),
        ("training=[1, 2]", "training: input should be a valid dictionary"),
        ("encoder=bundled", "encoder: input should be a valid dictionary"),
        ("encoder={1: 2}", "encoder.1: "),
        ("output=null", "output: input is not a valid path"),
    ],
)
def test_one_mistake_is_one_line(tmp_path: Path, setting: str, said: str) -> None:
    (line,) = lines_of(tmp_path, GOOD, setting)
    assert line.startswith(said), line


def test_a_name_that_no_disk_takes_is_a_line(tmp_path: Path) -> None:
    values: Any = {**GOOD, "data": {"dataset": "folder", "root": "r" * 5000, "annotations": "\x00"}}
    values["encoder"] = {"weights": "w" * 5000}
    assert [line.partition(":")[0] for line in lines_of(tmp_path, values)] == [
        "data.root",
        "data.annotations",
        "encoder.weights",
    ]
    with pytest.raises(ValueError, match="no config 'c"):
        load_config(Path("c" * 5000))


def test_yaml_as_people_write_it(tmp_path: Path) -> None:
    text = """
data: {dataset: theatre, split: 2}
head: {task: action, bidirectional: no, cell: none}
training: {lr: 1e-4, weight_decay: 0}
"""
    config = load(tmp_path, text)
    assert config.training.lr == 0.0001
    assert (config.head.bidirectional, config.head.cell) == (False, "none")
    assert config.data.split == "2"
    assert config.output == Path("runs/c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no sections (data, frames, encoder, head, training, output)"),
        ("- data", "holds no sections"),
        ("data: [", "is not YAML: "),
        ("training: {lr: 1, lr: 2}", "is not YAML: the key 'lr' is given twice"),
        ("head: {task: action}\nhead: {task: caption}", "is not YAML: the key 'head' is given"),
        ("data: !!python/object/apply:os.mkdir [HACKED]", "is not YAML: could not determine"),
    ],
)
def test_a_file_that_is_none(
    tmp_path: Path, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (line,) = lines_of(tmp_path, text)
    assert said in line
    assert not Path("HACKED").exists()


def test_an_unknown_config_lists_those_that_ship() -> None:
    with pytest.raises(ValueError, match=r"no config 'ucf10'.*ucf101, .*; did you mean 'ucf101'\?"):
        load_config(Path("ucf10"))


def test_set_goes_over_the_file(tmp_path: Path) -> None:
    sets = ["frames.fps=2", "frames.at_most=9", "head.bidirectional=no", "training.lr=1e-4"]
    config = load(tmp_path, {**GOOD, "frames": {"count": 4}}, *sets)
    assert config.frames == FramesConfig(fps=2.0, at_most=9)
    assert (config.head.bidirectional, config.training.lr) == (False, 0.0001)


def test_count_and_fps_drop_each_other() -> None:
    assert override({"frames": {"count": 4}}, [" frames.fps = 2"]) == {"frames": {"fps": 2}}
    values = {"frames": {"fps": 4.0, "at_most": 3}}
    assert override(values, ["frames.count=2"]) == {"frames": {"count": 2}}
    assert override({"other": {"fps": 4}}, ["other.count=2"]) == {"other": {"fps": 4, "count": 2}}


@pytest.mark.parametrize(
    "text", ["", "=", "a", "a.=1", ".a=1", "a..b=1", " =1", "a. =[", "a=[", "a=@"]
)
def test_a_set_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--set ") as caught:
        override({}, [text])
    assert "\n" not in str(caught.value)


def test_a_set_into_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' is a value, not a section"):
        override({"a": 5}, ["a.b=1"])


KEYS = st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=3)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)
)


@given(KEYS, VALUES)
def test_a_set_puts_its_value_there_and_nothing_elsewhere(key: list[str], value: object) -> None:
    raw = yaml.safe_dump(value, default_flow_style=True).replace("\n...\n", "")
    values: Any = override({"zz": {"kept": 1}}, [f"{'.'.join(key)}={raw}"])
    assert values.pop("zz") == {"kept": 1}
    for name in key:
        assert list(values) == [name]
        values = values[name]
    assert values == value


@given(KEYS, st.integers(), st.integers())
def test_the_last_set_wins(key: list[str], first: int, last: int) -> None:
    name = ".".join(key)
    assert override({}, [f"{name}={first}", f"{name}={last}"]) == override({}, [f"{name}={last}"])


def test_a_section_by_itself() -> None:
    assert parse_section(FramesConfig, {"count": 3}).count == 3
    with pytest.raises(ValueError, match=r"^--set: cuont: no such key; there are: count, key"):
        parse_section(FramesConfig, {"cuont": 3, "fps": 1})
    with pytest.raises(ValueError, match=r"^--set: beams: .*did you mean 'beam'\?"):
        parse_section(CaptionConfig, {"task": "caption", "beams": 3})
    assert parse_section(EncoderConfig, {}).backbone == "tf_efficientnet_lite0"


def test_a_config_is_frozen() -> None:
    config = Config.model_validate(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        config.training.seed = 3


def test_phases_need_frames_that_are_left_out() -> None:
    with pytest.raises(
        ValueError, match=r"head\.phases: is 3 and head\.thin is 0; set head\.thin too"
    ):
        load_config(Path("theatre"), ["head.phases=3"])
    head = load_config(Path("theatre"), ["head.phases=3", "head.thin=4"]).head
    assert isinstance(head, ActionConfig)
    assert head.phases == 3
