"""The contract over the table of datasets: one more is tested by existing."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from reelscribe.datasets.catalog import DATASETS
from reelscribe.datasets.clip import Finding, Source, Split

READ_FROM_DISK = sorted(set(DATASETS) - {"theatre"})
"""Those that need a root; the theatre is made."""


@pytest.fixture(params=sorted(DATASETS))
def module(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(DATASETS[request.param])


def test_load_and_examine_take_a_source(module: ModuleType) -> None:
    for name, returns in (("load", Split), ("examine", Iterator[Finding])):
        hints = typing.get_type_hints(getattr(module, name))
        assert hints.pop("return") == returns
        assert hints.popitem() == ("source", Source)
        parameters = list(inspect.signature(getattr(module, name)).parameters.values())
        assert parameters[0].name == "source"
        assert all(p.default is not inspect.Parameter.empty for p in parameters[1:])


def test_module_and_functions_say_what_they_do(module: ModuleType) -> None:
    assert module.__doc__
    assert "Writes" in module.__doc__ or "writes" in module.__doc__
    for name in ("load", "examine"):
        assert inspect.getdoc(getattr(module, name)), name


def test_each_dataset_of_others_gives_its_paper() -> None:
    for name in ("ucf101", "hmdb51", "kinetics", "msrvtt", "msvd"):
        assert "Paper:" in (import_module(DATASETS[name]).__doc__ or "")


@pytest.mark.parametrize("name", READ_FROM_DISK)
def test_a_root_that_is_not_there_is_one_line(name: str, tmp_path: Path) -> None:
    source = Source(root=tmp_path / "no such folder")
    module = import_module(DATASETS[name])
    with pytest.raises(ValueError, match=r"no such folder.*it should hold") as caught:
        module.load(source)
    assert "\n" not in str(caught.value)
    (finding,) = module.examine(source)
    assert (finding.level, finding.text) == ("error", str(caught.value))


@pytest.mark.parametrize("name", READ_FROM_DISK)
def test_an_unknown_split_lists_the_known(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{name} has no split 'no-such'; there are: 1, "):
        import_module(DATASETS[name]).load(Source(root=tmp_path, split="no-such"))
