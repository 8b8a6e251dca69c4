"""Seeded random numbers: one generator on the CPU, so that every device sees the same numbers for the same seed."""

from __future__ import annotations

import torch

from gradprox.errors import InputError

# torch accepts seeds of 64 bits, and fails on others with a message about overflow.
SEEDS = 2**64


def seeded_generator(seed: int) -> torch.Generator:
    """Return a generator of random numbers on the CPU.

    Args:
        seed: from 0 to 2**64 - 1.

    Raises:
        InputError: the seed is not such a number.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
        raise InputError(f"seed must be a whole number from 0 to {SEEDS - 1}, got {seed!r}")
    return torch.Generator(device="cpu").manual_seed(seed)
