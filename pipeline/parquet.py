"""Parquet: the records of ``describe`` as a table that data tools read, written by pyarrow.

Writes one file. pyarrow comes with ``pip install 'reelscribe[parquet]'``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reelscribe.pipeline.files import write_with


def check_parquet() -> None:
    """Find out before the work whether a table could be written.

    Raises:
        ValueError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise ValueError(
            "--parquet needs pyarrow: pip install 'reelscribe[parquet]', or take results.jsonl"
        ) from None


def write_parquet(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write one row a record; actions and segments are lists of structs."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    action = pa.struct([("label", pa.string()), ("probability", pa.float64())])
    said = [
        ("actions", pa.list_(action)),
        ("abstained", pa.string()),
        ("caption", pa.string()),
        ("objects", pa.list_(action)),
    ]
    segment = pa.struct([("start", pa.float64()), ("end", pa.float64()), *said])
    by = pa.struct([(what, pa.string()) for what in ("actions", "caption", "objects")])
    schema = pa.schema(
        [
            ("path", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("duration", pa.float64()),
            *said,
            ("by", by),
            ("segments", pa.list_(segment)),
        ]
    )
    # A name on disk need not be valid text; the table's must.
    rows = [{**record, "path": _text(record["path"])} for record in records]
    table = pa.Table.from_pylist(rows, schema=schema)
    write_with(path, lambda part: pq.write_table(table, part))


def _text(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
