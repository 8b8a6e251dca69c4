r"""Training for what solvers do: the loss of restored images instead of denoised ones.

A denoiser sees white noise on photographs. In a solver it sees restored images, whose errors are neither white nor
independent of the image, and it sees its own output again at every step. So the minimizer of the objective can be worse
than an early iterate. Here some steps of a training continue restorations of blurred or undersampled patches by one
step of half-quadratic splitting each, and lower the error after it.

Derivatives go through that one step: Jacobian-free backpropagation, see `gradprox.solvers.unrolling`. Several
restorations are under way at once, each at another number of steps, so that early and late iterates become good. This
persistence makes late iterates as cheap as early ones; Tieleman (ICML 2008) trains energies by persistent Markov chains
in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from deepinv.physics import LinearPhysics
from deepinv.physics.generator import MotionBlurGenerator
from torch import Tensor

from gradprox.physics import CircularBlur, CosineSensing, disk_kernel, gaussian_kernel, motion_kernel
from gradprox.priors.contract import Prior
from gradprox.solvers import Continuation, Preset, Task, preset, unrolled
from gradprox.training.patches import PatchSampler, seeded
from gradprox.training.recipe import RestorationConfig

# Number of restorations that are under way at once, a batch of patches each.
UNDER_WAY = 24
# The noise levels of a continuation in training, and the share of the solvers of a warm start: fewer than in a preset,
# because a training takes many of them, and its weights change from step to step.
LEVELS, SPARSE = 4, 4
# Kernels: pixels per side of random camera shakes, pixels of straight motions, standard deviations of Gaussians and
# radii of disks.
SHAKES, MOTIONS, GAUSSIANS, DISKS = (9, 27), (3.0, 20.0), (0.6, 2.5), (1.0, 4.0)
# The share of the coefficients that sensing measures.
RATIOS = (0.1, 0.5)
# Sensing has so many times less noise than deblurring.
QUIETER = 4


@dataclass(frozen=True)
class Problem:
    """A batch of patches to restore.

    Attributes:
        y: the measurements.
        physics: the operator that made them.
        clean: the patches, ``(B, C, P, P)``.
        noise: standard deviation of the noise of ``y``.
        task: the inverse problem.
        steps: number of solver steps after the warm start, until the next problem takes the place of this one.
    """

    y: Tensor
    physics: LinearPhysics
    clean: Tensor
    noise: float
    task: Task
    steps: int

    @classmethod
    def drawn(cls, patches: PatchSampler, config: RestorationConfig, generator: torch.Generator) -> Problem:
        """Draw a problem."""
        clean = patches.clean(generator)
        size, noise = (clean.shape[-2], clean.shape[-1]), _between(config.noise_range, generator)
        task = Task.DEBLUR
        physics: LinearPhysics
        if _between((0, 1), generator) < config.sensing:
            task, noise = Task.COMPRESSED_SENSING, noise / QUIETER
            count = round(_between(RATIOS, generator) * size[0] * size[1])
            physics = CosineSensing(size, count, seed=_whole(0, 2**31, generator))
        else:
            physics = CircularBlur(_random_kernel(generator), size, channels=clean.shape[1])
        y = physics(clean)
        y = y + noise * torch.randn(y.shape, generator=generator)
        return cls(y, physics, clean, noise, task, _whole(1, config.steps + 1, generator))

    def to(self, device: torch.device | str) -> Problem:
        """Return the problem on a device."""
        return replace(
            self, y=self.y.to(device), physics=self.physics.to(device), clean=self.clean.to(device)
        )

    def preset(self, prior: Prior) -> Preset:
        """Return the preset whose minimizer is trained: the one that half-quadratic splitting runs with ``prior``."""
        chosen = preset(self.task, self.noise, solver="hqs").of(prior)
        sparse = [
            replace(stage, max_iter=LEVELS) if isinstance(stage, Continuation) else stage
            for stage in chosen.warm_start[::SPARSE]
        ]
        return Preset(chosen.solver, tuple(sparse))

    def started(self, prior: Prior) -> Tensor:
        """Return the patches after the warm start."""
        x: Tensor | None = None
        for stage in self.preset(prior).warm_start:
            x = stage(self.y, self.physics, prior, x0=x).x
        return self.physics.A_adjoint(self.y) if x is None else x

    def continued(self, prior: Prior, x: Tensor) -> Tensor:
        """Return the patches one step after ``x``, with derivatives with respect to the weights of ``prior``."""
        return unrolled(self.preset(prior).solver, self.y, self.physics, prior, steps=1, x0=x)


class Restorations:
    """The restorations that are under way.

    Which one is continued follows from the recipe's seed and the step, and problems from the step of their start. So a
    checkpoint stores `state` only.

    Args:
        patches: draws the clean patches.
        config: which restorations.
        seed: the recipe's.
        device: of the network.
    """

    def __init__(
        self, patches: PatchSampler, config: RestorationConfig, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.patches, self.config, self.seed, self.device = patches, config, seed, device
        self.problems: dict[int, Problem] = {}
        self.images: dict[int, Tensor] = {}
        # The training step at which each restoration started, and the number of its own steps so far.
        self.started, self.done = torch.full((UNDER_WAY,), -1), torch.zeros(UNDER_WAY, dtype=torch.long)

    def chosen(self, step: int) -> int | None:
        """Return the restoration to continue in a step of the training, or None if the step denoises."""
        generator = seeded(self.seed, step, 1)
        restores = _between((0, 1), generator) < self.config.share
        return _whole(0, UNDER_WAY, generator) if restores else None

    def continued(self, place: int, step: int, prior: Prior) -> tuple[Tensor, Problem]:
        """Continue a restoration by one step, or start the next one in its place if it is complete.

        Returns:
            The patches, with derivatives with respect to the weights of ``prior``, and their problem.
        """
        if place not in self.problems or self.done[place] >= self.problems[place].steps:
            self.started[place], self.done[place] = step, 0
            self.problems[place] = self._problem(step)
            self.images[place] = self.problems[place].started(prior)
        problem = self.problems[place]
        x = problem.continued(prior, self.images[place])
        self.images[place] = x.detach()
        self.done[place] += 1
        return x, problem

    @property
    def state(self) -> dict[str, Tensor]:
        """The tensors from which `restore` continues."""
        images = {f"images.{place}": image for place, image in self.images.items()}
        return {"started": self.started, "done": self.done, **images}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from a state, as if there had been no stop."""
        self.started, self.done = state["started"], state["done"]
        for place in (self.started >= 0).nonzero()[:, 0].tolist():
            self.images[place] = state[f"images.{place}"].to(self.device)
            self.problems[place] = self._problem(int(self.started[place]))

    def _problem(self, step: int) -> Problem:
        return Problem.drawn(self.patches, self.config, seeded(self.seed, step, 2)).to(self.device)


def _random_kernel(generator: torch.Generator) -> Tensor:
    """Draw a camera shake (half of the kernels), a straight motion, a Gaussian or a disk."""
    kind = _whole(0, 6, generator)
    if kind < 3:
        side = 2 * _whole(SHAKES[0] // 2, SHAKES[1] // 2 + 1, generator) + 1
        seed = _whole(0, 2**31, generator)
        shake: Tensor = MotionBlurGenerator(psf_size=(side, side)).step(batch_size=1, seed=seed)["filter"]
        return shake
    if kind == 3:
        return motion_kernel(_between(MOTIONS, generator), _between((0, 180), generator))
    return (
        gaussian_kernel(_between(GAUSSIANS, generator))
        if kind == 4
        else disk_kernel(_between(DISKS, generator))
    )


def _between(limits: tuple[float, float], generator: torch.Generator) -> float:
    return limits[0] + (limits[1] - limits[0]) * float(torch.rand((), generator=generator))


def _whole(low: int, high: int, generator: torch.Generator) -> int:
    """Draw a whole number from ``low`` to ``high - 1``."""
    return int(torch.randint(low, high, (), generator=generator))
