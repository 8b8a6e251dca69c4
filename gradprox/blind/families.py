"""Families of blur kernels with one or two parameters, and the search for the best member by its evidence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprox.blind.photo_spectrum import PhotoSpectrum
from gradprox.physics import disk_kernel, gaussian_kernel, motion_kernel

Parameters = tuple[float, ...]
# The search refines this many members of the grid, in rounds that halve the distance.
REFINED, ROUNDS = 4, 4
# Members that are measured together, between two reports of the progress.
TOGETHER = 64
# Neighbors on the grid of lengths, radii and widths differ by this factor.
FACTOR = 1.1


@dataclass(frozen=True)
class Family:
    """Kernels of one shape.

    Attributes:
        names: the names of the parameters.
        kernel: the kernel of parameters.
        smallest: the smallest length of the grid.
        largest: the largest length, whose kernel still fits into a block of the spectrum.
    """

    names: tuple[str, ...]
    kernel: Callable[..., Tensor]
    smallest: float
    largest: float

    def grid(self, largest: float) -> list[Parameters]:
        """Return the members where the search begins, up to a length of ``largest``."""
        count = max(1, math.ceil(math.log(max(largest / self.smallest, 1)) / math.log(FACTOR)) + 1)
        lengths = [min(self.smallest * FACTOR**i, largest) for i in range(count)]
        if len(self.names) == 1:
            return [(length,) for length in lengths]
        return [(length, angle) for length in lengths for angle in _angles(length)]

    def around(self, center: Parameters, distance: float) -> Iterable[Parameters]:
        """Return the neighbors of a member; at distance 1 they are those of the grid."""
        lengths = [center[0] * FACTOR ** (distance * step) for step in (-1, 0, 1)]
        if len(self.names) == 1:
            return [(length,) for length in lengths]
        turn = distance * 180 / len(_angles(center[0]))
        return itertools.product(lengths, [(center[1] + turn * step) % 180 for step in (-1, 0, 1)])


FAMILIES = {
    "disk": Family(("radius",), disk_kernel, 0.8, 30.0),
    "gaussian": Family(("sigma",), gaussian_kernel, 0.4, 7.5),
    "motion": Family(("length", "angle"), motion_kernel, 2.5, 60.0),
}


@dataclass(frozen=True)
class Member:
    """A kernel of a family.

    Attributes:
        family: its name.
        parameters: see `Family.names`.
        kernel: ``(1, 1, h, w)``.
        evidence: of the kernel, as `PhotoSpectrum.evidence` returns it.
        phase_gain: by how much the phases of a free kernel explain the photo better than those of no blur, in nats per
            block; 0 for families with parameters, where it is not measured.
        peaks: `PhotoSpectrum.peaks` of a free kernel; 1, the value without peaks, for the others.
    """

    family: str
    parameters: Parameters
    kernel: Tensor
    evidence: float
    phase_gain: float = 0.0
    peaks: float = 1.0


def best_member(
    spectrum: PhotoSpectrum,
    name: str,
    largest_side: int | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> Member:
    """Return the member of a family with the largest evidence.

    Args:
        spectrum: of the photo.
        name: one of `FAMILIES`.
        largest_side: largest side of the kernel in pixels; that of the family if None.
        report: receives the finished share of the work.
    """
    family = FAMILIES[name]
    largest = family.largest
    if largest_side is not None:
        # A Gaussian is cut at four standard deviations.
        largest = min(largest, largest_side / {"disk": 2, "gaussian": 8, "motion": 1}[name])
    grid = family.grid(max(largest, family.smallest))
    done, total = 0, len(grid) + ROUNDS * REFINED * 3 ** len(family.names)  # at most

    def measured(members: list[Parameters]) -> list[Member]:
        nonlocal done
        found = []
        for first in range(0, len(members), TOGETHER):
            some = members[first : first + TOGETHER]
            kernels = [family.kernel(*parameters) for parameters in some]
            evidence = spectrum.evidence(kernels).tolist()
            found += [Member(name, *each) for each in zip(some, kernels, evidence, strict=True)]
            done += len(some)
            report(done / total)
        return found

    found = measured(grid)
    leaders = sorted(found, key=lambda member: -member.evidence)[:REFINED]
    for round_ in range(1, ROUNDS + 1):
        near = {
            parameters: None
            for leader in leaders
            for parameters in family.around(leader.parameters, 0.5**round_)
        }
        tried = measured([p for p in near if p[0] <= max(largest, family.smallest)])
        leaders = sorted([*leaders, *tried], key=lambda member: -member.evidence)[
            : REFINED if round_ == 1 else 2
        ]
    return leaders[0]


def _angles(length: float) -> list[float]:
    """Return angles at which the ends of motions of this length are a bit more than a pixel apart."""
    count = max(24, math.ceil(math.pi * length / 2 / 1.3))
    return [180 * i / count for i in range(count)]


def no_blur() -> Tensor:
    """Return the kernel of a sharp photo."""
    return torch.ones(1, 1, 1, 1)
