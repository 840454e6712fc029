"""Frames (T, H, W, 3) in, features (T, D) out.

To add an engine: a class in a module here, one line in ENGINES. tests/test_engine.py runs over the
table.
"""

from __future__ import annotations

__all__ = ["ENGINES"]

ENGINES = {
    "onnx": "reelscribe.encoders.engine:OnnxEngine",
    "torch": "reelscribe.encoders.engine:TorchEngine",
}
"""Name -> "module:class". A string, so that only what is used is imported."""
