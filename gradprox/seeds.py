"""Seeds: one rule and one message for all random draws."""

from __future__ import annotations

import torch

from gradprox.errors import InputError

# torch takes unsigned seeds of 64 bits.
LARGEST_SEED = 2**64 - 1


def seeded_generator(seed: int) -> torch.Generator:
    """Return a generator of random numbers on the CPU, the same for the same seed.

    Raises:
        InputError: the seed is no whole number between 0 and 2^64 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise InputError(f"seed: expected a whole number between 0 and 2^64 - 1, got {seed!r}")
    return torch.Generator().manual_seed(seed)
