"""Passes of a model in mixed precision: convolutions in bfloat16, which takes half the time on some processors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gradprox.priors.contract import Prior

# The names that torch gives to the instructions of processors that compute in bfloat16.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def computes_in_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for bfloat16; others would take longer than in single precision."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(capabilities.get(name) for name in BFLOAT16_INSTRUCTIONS)


@contextmanager
def mixed_precision(prior: Prior, x: Tensor) -> Iterator[None]:
    """Compute the passes of a prior in mixed precision where it tolerates that and the device gains by it.

    Args:
        prior: its attribute ``tolerates_bfloat16`` says whether errors stay far below the noise that it removes; a
            prior without this attribute does not.
        x: the images. Those of double precision keep it, because `torch.autocast` leaves them alone.
    """
    if not (getattr(prior, "tolerates_bfloat16", False) and computes_in_bfloat16(x.device)):
        yield
        return
    with torch.autocast(x.device.type, torch.bfloat16):
        yield
