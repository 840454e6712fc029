"""The table of datasets: the name in a config -> the module that reads it.

To add one: a module here with ``load(source: Source) -> Split`` and
``examine(source: Source) -> Iterator[Finding]``, and one line below. tests/test_catalog.py runs
over the table. (The table stands in a module of its own because ``datasets/`` must have no
``__init__.py``: with one it would hide Hugging Face's package of that name from Ray's workers.)
"""

from __future__ import annotations

DATASETS = {
    "ucf101": "reelscribe.datasets.ucf101",
    "hmdb51": "reelscribe.datasets.hmdb51",
    "kinetics": "reelscribe.datasets.kinetics",
    "msrvtt": "reelscribe.datasets.msrvtt",
    "msvd": "reelscribe.datasets.msvd",
    "folder": "reelscribe.datasets.folder",
    "theatre": "reelscribe.datasets.theatre",
}
"""Name in a config -> module. A string, so that only what is used is imported."""
