"""The preset of deblurring as torch modules: half-quadratic splitting, cut into parts that ONNX nodes join.

The network is one part. It is traced once, and its nodes are used three times: in the warm start, before the last
solver, and in each of its steps. The formulas are those of `gradprox.solvers`, whose functions are traced.
"""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import Tensor, nn

from gradprox.export.graph.fourier_blur import FourierBlur, Spectrum
from gradprox.export.graph.recipe import GraphRule, Recipe
from gradprox.export.graph.solver_steps import GraphPrior, judge
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.networks.linear_systems import Iterate, first_iterate, next_iterate, small_energy
from gradprox.solvers.continuation import falling_level, falling_weight
from gradprox.solvers.least_squares import FIT_TOLERANCE, LeastSquares
from gradprox.solvers.state import relative_change

# The fields of a `Spectrum`: the exporter takes plain tuples only.
Tensors = tuple[Tensor, ...]


class Schedule(nn.Module):
    """The settings of all steps of the preset.

    Args:
        recipe: the numbers of the preset.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.rule = GraphRule(**asdict(recipe.rule))

    def forward(self, noise: Tensor, strength: Tensor) -> tuple[Tensor, ...]:
        """Return noise levels and weights of the warm start, its number of steps, and both for the last solver.

        The number is a scalar: 0 where the last level is not below the first.
        """
        recipe, noise, strength = self.recipe, noise.double(), strength.double()
        sigma = self.rule.sigma(noise)
        weight = strength * self.rule.lambda_reg(noise, sigma)
        shares = torch.arange(recipe.steps, dtype=torch.float64) / recipe.steps
        levels = falling_level(recipe.first_sigma, sigma, shares)
        steps = recipe.steps * (sigma < recipe.first_sigma).long()[0]
        weights = falling_weight(weight, sigma, levels)
        return levels.float(), weights.float(), steps, sigma.float(), weight.float()


class Level(nn.Module):
    """The settings of one step of the warm start."""

    def forward(self, levels: Tensor, weights: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Return the noise level and the weight, ``(1,)``, of the step ``number``, a scalar, from 0."""
        place = number.reshape(1)
        return levels.index_select(0, place), weights.index_select(0, place)


class Network(nn.Module):
    """The network of the prior, with its energy.

    Args:
        network: the network, in single precision.
    """

    def __init__(self, network: ImageNetwork) -> None:
        super().__init__()
        self.prior = GraphPrior(network.export_form())

    def forward(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``D(x)`` and ``R(x)``."""
        return self.prior.denoise_with_energy(x, sigma)


class Blurred(nn.Module):
    """Base of the parts that apply the blur.

    Args:
        boundary: ``"valid"`` or ``"circular"``.
    """

    def __init__(self, boundary: str) -> None:
        super().__init__()
        self.boundary = boundary

    def data(self, y: Tensor, kernel: Tensor, spectrum: Tensors) -> LeastSquares:
        """Return the data term of the measurements."""
        return LeastSquares(y, FourierBlur(kernel, self.boundary, Spectrum(*spectrum)), 1.0)


class Transform(Blurred):
    """The transform of the unknown images and the measurements in it, computed once."""

    def forward(self, x: Tensor, y: Tensor, kernel: Tensor) -> tuple[Tensor, ...]:
        """Return the transform of images of the size of ``x``, and the coordinates of ``A^T y``."""
        spectrum = Spectrum.of(kernel, x.shape[-2], x.shape[-1])
        return *spectrum, FourierBlur(kernel, self.boundary, spectrum).back(y)


class ClosedFit(nn.Module):
    """The fit of a circular blur: ``argmin_x |A x - y|^2/2 + weight |x - z|^2/2``."""

    def forward(self, z: Tensor, back: Tensor, weight: Tensor, spectrum: Tensors) -> Tensor:
        """Return the fitted images; ``back`` holds the coordinates of ``A^T y``."""
        transform = Spectrum(*spectrum)
        right = back + weight * transform.transform(z)
        return transform.inverse(right / (transform.gains() + weight)).float()


class FitStart(nn.Module):
    """The part before the conjugate gradients that fit a valid blur, in the coordinates of the spectrum."""

    def forward(
        self, z: Tensor, x: Tensor, back: Tensor, kernel: Tensor, weight: Tensor, spectrum: Tensors
    ) -> tuple[Tensor, ...]:
        """Return whether any image needs a step, the energy at which an image stops, and the first state."""
        blur = FourierBlur(kernel, "valid", Spectrum(*spectrum))
        right = back + weight * blur.spectrum.transform(z)
        first = blur.spectrum.transform(x)
        state = first_iterate(lambda v: blur.normal_operator(v, weight), right, first)
        enough = small_energy(right, FIT_TOLERANCE)
        # A graph may not return one value twice.
        return state.solvable(enough), enough, *state._replace(direction=state.direction.clone())


class FitStep(nn.Module):
    """One step of these conjugate gradients."""

    def forward(
        self,
        point: Tensor,
        residual: Tensor,
        direction: Tensor,
        energy: Tensor,
        enough: Tensor,
        kernel: Tensor,
        weight: Tensor,
        spectrum: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return whether any image needs a further step, and the next state."""
        blur = FourierBlur(kernel, "valid", Spectrum(*spectrum))
        state = Iterate(point, residual, direction, energy)
        state = next_iterate(lambda v: blur.normal_operator(v, weight), state, enough)
        return state.solvable(enough), *state


class FitEnd(nn.Module):
    """The part after them."""

    def forward(self, point: Tensor, energy: Tensor, spectrum: Tensors) -> Tensor:
        """Return the images of the last state."""
        solution = Iterate(point, point, point, energy).solution()
        return Spectrum(*spectrum).inverse(solution).float()


class WarmStart(nn.Module):
    """The part before the warm start."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return that every image goes on, and no steps, each ``(B,)``."""
        steps = torch.zeros(x.shape[0], dtype=torch.long)
        return steps == 0, steps.clone()


class WarmEnd(nn.Module):
    """The end of a step of the warm start."""

    def forward(self, new: Tensor, x: Tensor, going: Tensor, warm_steps: Tensor) -> tuple[Tensor, ...]:
        """Return whether any image goes on, the next images, which of them go on, and their steps.

        As in the driver of the solvers, an image stops where a step changes nothing at all or is not finite.
        """
        residual = relative_change(new, x)
        finite = torch.isfinite(residual)
        kept = torch.where((going & finite)[:, None, None, None], new, x)
        goes_on = going & finite & (residual > 0)
        return goes_on.any(), kept, goes_on, warm_steps + going.long()


class Arrive(Blurred):
    """The part before the loop of the last solver."""

    def forward(
        self, x: Tensor, energy: Tensor, y: Tensor, kernel: Tensor, lambda_reg: Tensor, spectrum: Tensors
    ) -> tuple[Tensor, Tensor]:
        """Return the statuses and the objective, each ``(B,)``."""
        objective = self.data(y, kernel, spectrum).value(x) + lambda_reg * energy
        return torch.zeros(x.shape[0], dtype=torch.long), objective


class Record(Blurred):
    """The end of a step of the last solver: its objective, and the decision which images stop."""

    def forward(
        self,
        new: Tensor,
        new_denoised: Tensor,
        energy: Tensor,
        x: Tensor,
        denoised_before: Tensor,
        status: Tensor,
        steps: Tensor,
        y: Tensor,
        kernel: Tensor,
        lambda_reg: Tensor,
        tol: Tensor,
        spectrum: Tensors,
    ) -> tuple[Tensor, ...]:
        """Return whether any image goes on, the next state, and one row of each history, ``(B,)``."""
        objective = self.data(y, kernel, spectrum).value(new) + lambda_reg * energy
        found = judge(new, x, objective, status, steps, tol)
        return (
            found.go_on,
            torch.where(found.accepted, new, x),
            torch.where(found.accepted, new_denoised, denoised_before),
            found.status,
            found.steps,
            found.objective,
            found.residual,
        )
