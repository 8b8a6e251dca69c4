"""The runs with which an exported preset is verified."""

from __future__ import annotations

from typing import NamedTuple

from gradprox.export.graph.tiles import SIDE


class Case(NamedTuple):
    """One run.

    Attributes:
        batch: number of images.
        channels: number of channels.
        size: height and width of the image.
        kernel: height and width of the kernel.
        noise: noise level that the preset is told.
        strength: strength of the prior, relative to the preset.
        max_iter: step budget after the warm start; None for the planned steps.
        tol: tolerance; None for that of the preset.
        start: whether the first images are given.
        mirrored: whether the kernel is its own mirror image in both directions.
        clipped: whether measurements are clipped at black and white, and taken as inequalities.
    """

    batch: int
    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    noise: float
    strength: float = 1.0
    max_iter: int | None = None
    tol: float | None = None
    start: bool = False
    mirrored: bool = False
    clipped: bool = False


# Odd and even sizes, one pixel; images that stop one by one; noise below that of 8 bits, and too much for a warm start.
# Blurred images have enough noise. With less, the fits of a valid blur are so ill-conditioned that their conjugate
# gradients end early, and rounding errors of 1e-8 move the images of torch itself by 1e-3 (of blocks, not of photos).
CASES = (
    Case(1, 1, (16, 17), (4, 5), 0.04),
    Case(3, 2, (23, 18), (5, 3), 0.03, max_iter=30, tol=3e-3),
    Case(2, 1, (31, 24), (7, 7), 0.04, strength=2.0),
    Case(1, 3, (20, 21), (1, 1), 0.0),
    Case(1, 1, (1, 1), (1, 1), 0.285),
    Case(2, 1, (17, 15), (4, 3), 0.285, tol=0.0),
    Case(2, 3, (19, 14), (3, 6), 0.04, strength=0.5, start=True),
    # Several tiles: of rows, of columns, and of both.
    Case(2, 1, (SIDE + 5, 6), (3, 4), 0.04),
    Case(1, 3, (5, 2 * SIDE + 1), (2, 3), 0.04, max_iter=3),
    Case(1, 1, (SIDE + 2, SIDE + 3), (4, 2), 0.285, max_iter=1),
)
# Without a warm start, FISTA soon converges, and from then on rounding decides whether it restarts.
FISTA_CASES = tuple(case._replace(max_iter=case.max_iter or 6) if case.tol == 0 else case for case in CASES)
# Kernels for which fits with a symmetric boundary have a closed form.
MIRRORED_CASES = (
    Case(2, 1, (17, 22), (5, 7), 0.02, mirrored=True),
    Case(1, 3, (20, 11), (3, 1), 0.0, max_iter=4, tol=0.0, mirrored=True),
)
# Clipped measurements, in files that take them as inequalities.
CLIPPED_CASES = (
    Case(1, 1, (17, 18), (4, 5), 0.04, clipped=True),
    Case(2, 2, (19, 16), (5, 3), 0.03, strength=2.0, max_iter=12, tol=3e-3, clipped=True),
    Case(2, 3, (14, 21), (3, 4), 0.285, max_iter=4, tol=0.0, start=True, clipped=True),
)

# Largest difference of a step count. A solver of the warm start ends where its steps become small, and FISTA restarts
# where the objective rises. Near convergence both are a matter of rounding.
SENSING_STEPS = 2
# The size of images is that of the physics, and kernels are not used. Few images, as a preset takes up to a hundred
# steps.
SENSING_CASES = (
    Case(1, 1, (0, 0), (1, 1), 0.18, tol=0.0),
    Case(1, 1, (0, 0), (1, 1), 0.01),
    Case(2, 1, (0, 0), (1, 1), 0.05, max_iter=30, tol=3e-3),
    Case(1, 3, (0, 0), (1, 1), 0.18, strength=0.9, max_iter=6, start=True),
)
# For solvers whose prior has a weight: less noise, so that runs converge after fewer steps.
ENERGY_SENSING_CASES = tuple(
    case._replace(noise=case.noise / 3.6, max_iter=case.max_iter or most)
    for case, most in zip(SENSING_CASES, (8, None, 30, 6), strict=True)
)
# Long runs from a wrong start with a weak prior, in which momentum grows until FISTA restarts, far from convergence.
RESTART_CASES = tuple(
    Case(2, 1, (0, 0), (1, 1), 0.18, strength=strength, max_iter=40, tol=0.0, start=True)
    for strength in (0.3, 1.0)
)
DEBLUR_RESTART_CASES = tuple(
    case._replace(size=(12, 13), kernel=(3, 2), noise=0.285) for case in RESTART_CASES
)
# Steps that are compared after the first restart. Later ones may be a matter of rounding.
AFTER_RESTART = 2
# With a rougher energy, without a warm start: a continuation has no line search, and amplifies rounding errors there.
# The tolerance is so large that images converge in steps of several lengths.
ROUGH_CASES = (
    Case(3, 1, (12, 13), (3, 2), 0.285, max_iter=16, tol=4e-2),
    Case(2, 1, (9, 14), (2, 3), 0.285, strength=3.0, max_iter=6, tol=0.0, start=True),
)
ROUGH_CLIPPED_CASES = (Case(2, 1, (12, 13), (3, 2), 0.285, max_iter=8, tol=4e-2, clipped=True),)
# A small weight of the energy: the fits leave it long steps.
ROUGH_SENSING_CASES = (Case(2, 1, (0, 0), (1, 1), 0.18, strength=0.076, max_iter=12, tol=4e-2),)
# Smaller relative changes of an image are not far above rounding.
REAL_CHANGE = 1e-4
