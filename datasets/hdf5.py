"""HDF5 files of others: which datasets they hold, and one of them; never what lies elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

LARGEST = 2**33
"""Bytes of one dataset: 8 GiB."""


def names_in(path: Path) -> list[str]:
    """Return the names of all datasets, those in groups with ``/``.

    Raises:
        ValueError: it is damaged, or no HDF5 file.
    """
    import h5py

    found: list[str] = []

    def visit(name: str, thing: object) -> None:
        if isinstance(thing, h5py.Dataset):
            found.append(name)

    with _open(path) as file:
        # Soft and external links are not followed: an external one would open other files.
        file.visititems(visit)
    return sorted(found)


def read_dataset(path: Path, name: str) -> NDArray[Any]:
    """Read one dataset.

    Raises:
        ValueError: the file is damaged, or its numbers lie elsewhere, or are too many.
    """
    with _open(path) as file:
        dataset = file[name]
        # Both are places in other files, any that its maker named.
        if dataset.external or dataset.is_virtual:
            raise ValueError("its numbers lie in other files; copy them into this one")
        if dataset.nbytes > LARGEST:
            raise ValueError(f"a dataset of shape {dataset.shape}; more than 8 GiB for one clip")
        return np.asarray(dataset[()])


def _open(path: Path) -> h5py.File:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"not a whole HDF5 file ({' '.join(str(error).split())[:120]})") from None
