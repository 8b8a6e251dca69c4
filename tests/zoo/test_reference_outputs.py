"""The outputs of the shipped models do not change: those in double precision are stored beside this test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gradprox import load_model

STORED = load_file(Path(__file__).with_name("reference_outputs.safetensors"))
MODELS = sorted({key.rsplit("-", 2)[0] for key in STORED if key.endswith("-x")})


@pytest.mark.parametrize("sigma", [1, 25, 50])
@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_the_stored_ones(name, sigma):
    D = load_model(name).double()
    y = STORED[f"input-{D.network.channels}"]
    expected, potential = STORED[f"{name}-{sigma}-x"], STORED[f"{name}-{sigma}-potential"]
    torch.testing.assert_close(D(y, sigma / 255), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(D.potential(y, sigma / 255), potential, rtol=1e-12, atol=0)
