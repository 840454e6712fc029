"""Mixed precision and compilation: settings for a GPU whose every line runs on a CPU too.

Weights, optimizer and validation stay float32, and so does what is saved. Reads and writes nothing.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from reelscribe.pipeline.recipe import Precision

BACKEND = "inductor"
"""What torch.compile makes kernels with."""


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Return what the loss is taken within.

    With ``bf16`` matrix products and recurrent networks compute in bfloat16, sums and softmax in
    float32 (https://docs.pytorch.org/docs/stable/amp.html). bfloat16 has float32's range, so the
    loss needs no scaling.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def compile_head(head: nn.Module) -> None:
    """Compile what a head does in training, in place: its numbers keep their names.

    What torch cannot compile (recurrent networks over packed sequences) runs as it is. Compiled
    kernels draw their dropout otherwise, so the head is another one, as with another seed.
    """
    # Not line by line what it leaves as it is.
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    # It asks so of every tensor that it hands back from a part that it does not compile.
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    # Advice on the kernels that it makes; float32 is meant to be float32, for one.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\._inductor")
    head.compile(backend=BACKEND)


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Say in one line where torch cannot compile: no compiler on this machine, say.

    Raises:
        ValueError: it could not.
    """
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        said = " ".join(str(error).split())[:160]
        raise ValueError(
            f"training.compile is true and torch cannot compile the head here ({said}); set it to "
            "false"
        ) from None
