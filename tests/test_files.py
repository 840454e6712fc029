"""A file appears whole or not at all: full disks, kill -9, names of every kind, damaged JSON."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelscribe.pipeline.files import (
    PART,
    parse_yaml,
    read_json,
    read_jsonl,
    read_yaml,
    write_csv,
    write_json,
    write_jsonl,
    write_whole,
    write_with,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in ("cache", "data"))


def test_a_file_and_its_folders_appear(tmp_path: Path) -> None:
    path = tmp_path / "data" / "b" / "c.txt"
    write_whole(path, "a\u00e9\n")
    assert path.read_bytes() == b"a\xc3\xa9\n"
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(path.parent) == ["c.txt"]


def test_its_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_whole(tmp_path / "ours", "x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize(
    "name",
    [b"n" * 255, b"caf\xe9.txt", b"\xff\xfe", b"a\nb", b" ", b"-rf", "\u00e9".encode() * 127],
)
def test_any_name_that_the_disk_takes(tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path / "data"), name)))
    write_whole(path, b"x")
    assert os.listdir(os.fsencode(path.parent)) == [name]


def test_who_fails_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "data" / "a"
    write_whole(path, "old")

    def half(part: Path) -> None:
        part.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_with(path, half)
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    with pytest.raises(ValueError, match="Out of range float"):
        write_jsonl(path, [{"a": 1}, {"a": float("nan")}])
    assert path.read_text() == "old"
    assert names(path.parent) == ["a"]


def test_a_full_disk_leaves_no_part(tmp_path: Path) -> None:
    write_whole(tmp_path / "data" / "a", "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_whole(tmp_path / "data" / "a", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "data" / "a").read_text() == "old"
    assert names(tmp_path / "data") == ["a"]


def test_a_folder_in_the_way_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "data" / "a", "x")
    assert names(tmp_path / "data") == ["a"]


WRITER = """
import sys
from pathlib import Path
from reelscribe.pipeline.files import write_whole
while True:
    write_whole(Path(sys.argv[1]), sys.argv[2] * 200_000)
"""


def test_readers_see_whole_files_whatever_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "data" / "a"
    write_whole(path, "x" * 200_000)
    seen: set[str] = set()
    for letter in "yz":  # Two writers at once, of which one is killed and then the other.
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(path), other])
            for other in (letter, "x")
        ]
        until = time.monotonic() + 10
        killed: list[int] = []
        while time.monotonic() < until and not {"x", letter} <= seen:
            text = path.read_text()
            assert len(text) == 200_000
            assert len(set(text)) == 1, "parts of two files"
            seen.add(text[0])
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            killed.append(writer.wait(10))
            assert len(set(path.read_text())) == 1
        assert killed == [-9, -9]
    assert seen == {"x", "y", "z"}
    assert all(name == "a" or name.startswith(PART) for name in names(path.parent))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows: list[dict[str, str | None]] = [
        {"a": "\u2028\x85\n", "b": None},
        {"a": os.fsdecode(b"\xff")},
        {},
    ]
    write_jsonl(tmp_path / "rows", rows)
    assert read_jsonl(tmp_path / "rows") == rows
    assert read_jsonl(tmp_path / "none") == []
    write_json(tmp_path / "one", rows)
    assert read_json(tmp_path / "one") == rows
    assert (tmp_path / "one").read_bytes().isascii()


def test_csv_keeps_commas_quotes_lines_and_names_of_bytes(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["path", "n"], [[os.fsdecode(b"\xff"), 1], ['a,"b"\n', 2]])
    assert (tmp_path / "t.csv").read_bytes() == b'path,n\r\n\xff,1\r\n"a,""b""\n",2\r\n'


def test_a_log_that_was_cut_off_loses_its_last_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    assert read_jsonl(path) == [{"a": 1}]


@pytest.mark.parametrize("line", [b"{", b"", b"5", b"null", b"[" * 100_000, b"9" * 5000])
def test_a_bad_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl:2 is not a (line of JSON|JSON object).*rem"):
        read_jsonl(path)


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    for read in (read_json, read_jsonl, read_yaml):
        (tmp_path / "bad").write_bytes(b'{"a": "\xff"}\n')
        with pytest.raises(ValueError, match=r"bad is not .*0xff") as caught:
            read(tmp_path / "bad")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5000, "\ufeff{}"])
def test_a_bad_json_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.json is not JSON .*run the stage again"):
        read_json(tmp_path / "bad.json")


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 1\na: 2",
        "x: {b: 1, b: 1}",
        "a: 0x_",
        "a: 2024-99-99",
        "!!bool maybe",
        "!!timestamp soon",
        "[" * 3000,
        "a: 1\n--- \nb: 2",
        "? [1]\n: 2",
        "!!python/object/apply:os.system ['touch HACKED']",
        "a: !!python/name:os.system",
    ],
)
def test_bad_yaml_is_one_line_and_runs_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"^here is not YAML: ") as caught:
        parse_yaml(text, "here")
    assert "\n" not in str(caught.value)
    assert not Path("HACKED").exists()


def test_yaml_that_is_good(tmp_path: Path) -> None:
    text = "a: &x {b: no, c: 1.0e-3}\nd: {<<: *x, c: 2}\n"
    (tmp_path / "good.yaml").write_text(text)
    values = read_yaml(tmp_path / "good.yaml")
    assert values == {"a": {"b": False, "c": 0.001}, "d": {"b": False, "c": 2}}
