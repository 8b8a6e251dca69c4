r"""Mixture shrinkage: coefficients weighed by competing hypotheses on what a neighborhood shows.

A hypothesis ``k`` says what variance ``v_ki`` the coefficients ``z_i`` of one position have in an image without
noise: a Gaussian of one contrast, orientation and texture. Were it known to be true, ``a_ki = noise / (v_ki + noise)``
would be the share of ``z_i`` to take away. It is not known, so evidence is weighed: hypotheses of one position against
each other, then classes of hypotheses over windows, then classes of classes over wider ones. With energies
``e_i = z_i^2 / (2 u^2)`` in units ``u`` of the noise, and ``h(e) = e T / (T + e)``,

    q_0k(p) = b_k - c_0 sum_i a_ki h(e_i(p)),
    q_lm(p) = c_l sum_d w_l(d) log sum_k P_lmk exp q_(l-1)k(p + d),
    G(z)    = u^2 sum_p [ sum_i e_i(p) + log sum_m exp(q_Lm(p) + o_m) / (c_0 ... c_L) ],

and ``grad G(z)_i = z_i (1 - h'(e_i) sum_k p_k a_ki)``, where ``p_k`` are posterior probabilities of the hypotheses,
found in a pass back down the levels. Without levels, with exact variances and without the tails of ``h``, that is the
posterior mean of a mixture of Gaussians (Zoran and Weiss, ICCV 2011). The tails let coefficients far above the noise
pass, whatever the hypotheses say.

``G`` is convex for every value of the weights. Windows are nonnegative and sum to 1, so adding any ``x(p)`` to all
``q_0k(p)`` adds ``c_1 ... c_L`` times its sum over ``p`` to what is summed at the end. The energies may therefore enter
at the bottom: ``G`` is the same sum for ``q_0k = b_k + c_0 sum_i (e_i - a_ki h(e_i))``. These are convex and
nondecreasing in the energies, as ``0 <= h' <= 1`` falls, and so convex in ``z``; sums with nonnegative weights, and
logarithms of sums of exponentials, keep that. For the same reason the largest score of each position can be left out on
the way up, which keeps the digits of the others.

The Hessian is bounded. Its diagonal part is at most ``1 - min (h' + 2 e h'') = 5/4``. The rest is, for each level,
``c_0 ... c_l`` times a variance, over hypotheses or classes, of ``sum_i a_ki d_i v_i`` for a vector ``v``, with
``d_i^2 = 2 e_i h'(e_i)^2 <= 27 T_i / 128``. A variance is at most a quarter of the squared range, and averaging over
windows does not increase the sum of squares:

    Hess G <= 5/4 + max_kj sum_i (a_ki - a_ji)^2 27 T_i / 512 * (c_0 + c_0 c_1 + ... + c_0 ... c_L).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.borders import crop
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.coupling import average, mirrored_table, mix, with_mirrors, without_mirrors
from gradprox.networks.denoisers.shrinkage import Shrinkage

# Of the energies T at which tails begin: beyond, the bound of the Hessian says nothing.
LOG_TAIL_RANGE = (-5.0, 5.0)
# Of the weight c_0 of evidence.
LOG_WEIGHT_RANGE = (-5.0, 1.0)
# On levels above, the largest weight counts every position of a window e times. At strong noise networks would have
# more, for a thousandth of a decibel; single precision loses a digit by then.
LOG_EMPHASIS = 1.0
# Least probability of a hypothesis in a class: the most likely one of a position is then never lost to rounding.
LEAST = 1e-12
# Of likelihoods relative to the largest: smaller ones change nothing, not even in double precision, as classes see at
# least `LEAST` of the largest; but exponentials that underflow take a processor twenty times as long. `G` stays convex:
# the larger of convex nondecreasing functions is one.
LOG_NEGLIGIBLE = -64.0


def _odd(window: int) -> int:
    if window % 2 == 0:
        raise ValueError(f"window must be odd, got {window}")
    return window


# The side of a window around a pixel.
Window = Annotated[int, Field(ge=1, le=31), AfterValidator(_odd)]


class MixtureLevel(BaseModel):
    """One level of classes above the hypotheses.

    Attributes:
        classes: number of mirror pairs of classes.
        window: side of the window over which evidence is averaged, odd.
        spacing: distance of its taps, in pixels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: int = Field(ge=1, le=1024)
    window: Window = 5
    spacing: int = Field(default=1, ge=1, le=32)

    @property
    def radius(self) -> int:
        """Return how far a window reaches."""
        return self.window // 2 * self.spacing


class Evidence(NamedTuple):
    """What the way up one level leaves for the way down.

    Attributes:
        largest: score of each position, ``(B, 1, h, w)``.
        relative: likelihoods of what is below, relative to that, ``(B, N, h, w)``.
        marginal: those of the classes, ``(B, M, h, w)``.
        priors: of what is below, in each class, ``(S, M, N)``.
        windows: of the classes, ``(S, M, k, k)``.
    """

    largest: Tensor
    relative: Tensor
    marginal: Tensor
    priors: Tensor
    windows: Tensor


class MixtureShrinkage(Shrinkage):
    """The gradient of ``G`` above; see this module's text.

    Args:
        pairs: number of mirror pairs of channels, of all planes.
        noise_gain: norm of a filter: noise ``sigma`` has standard deviation ``noise_gain * sigma`` in ``z``.
        knots: noise levels at which parameters are stored.
        hypotheses: number of mirror pairs of them.
        levels: of classes, from below; none: positions are judged one by one.
        planes: color planes; a hypothesis has variances for all of them.
    """

    def __init__(
        self,
        pairs: int,
        noise_gain: float,
        knots: NoiseKnots,
        hypotheses: int,
        levels: tuple[MixtureLevel, ...],
        planes: int = 1,
    ) -> None:
        super().__init__()
        self.noise_gain = noise_gain
        self.knots = knots
        self.levels = levels
        self.planes = planes
        self.radius = 2 * sum(level.radius for level in levels)
        count = len(knots)
        noise = 2 * torch.tensor(knots.log_levels)
        # At first from far below to far above the noise, for every filter at random; training fits them to images.
        generator = torch.Generator().manual_seed(0)
        contrasts = torch.linspace(-12, -1, hypotheses)[:, None]
        self.log_variances = nn.Parameter(contrasts + torch.randn(2, hypotheses, pairs, generator=generator))
        self.log_noise = nn.Parameter(noise[:, None].repeat(1, pairs))
        self.log_tails = nn.Parameter(torch.full((count, pairs), 4.0))
        self.offsets = nn.Parameter(torch.zeros(count, hypotheses))
        weights = torch.tensor([0.0] + [1.0] * len(levels))
        self.log_weights = nn.Parameter(weights.repeat(count, 1))
        below = hypotheses
        self.priors, self.windows = nn.ParameterList(), nn.ParameterList()
        for level in levels:
            # At first a class favors neighboring contrasts.
            places = torch.linspace(0, 1, level.classes)[:, None] - torch.linspace(0, 1, below)
            start = 0.5 * torch.randn(2, level.classes, below, generator=generator) - 4 * places.abs()
            self.priors.append(nn.Parameter(start.repeat(count, 1, 1, 1)))
            offsets = torch.arange(level.window) - level.window // 2
            gaussian = -4.5 * (offsets[:, None] ** 2 + offsets**2) / level.window**2
            self.windows.append(nn.Parameter(gaussian.repeat(count, 1, 1)))
            below = level.classes
        self.top = nn.Parameter(torch.zeros(count, below))

    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """See `Shrinkage.gradient`."""
        return self._shrink(z, sigma)[0]

    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `Shrinkage.gradient_and_density`."""
        gradient, density = self._shrink(z, sigma)
        return gradient, density()

    def slope_bound(self) -> float:
        """See `Shrinkage.slope_bound`.

        Between knots the logarithms of ``c`` and ``T`` are interpolated, so that ``T`` and the sum of products of ``c``
        are largest at a knot. At every noise level ``|a_ki - a_ji| <= tanh(|log v_ki - log v_ji| / 4)``.
        """
        with torch.no_grad():
            tails = self.log_tails.clamp(*LOG_TAIL_RANGE).exp().amax(dim=0)
            energies = with_mirrors(tails, tails, self.planes, dim=0) * 27 / 128
            variances = self.mirrored(self.log_variances[None], self.planes)[0]
            spread = torch.zeros((), dtype=tails.dtype, device=tails.device)
            for own in variances:
                differences = ((variances - own).abs() / 4).tanh().square()
                spread = torch.maximum(spread, (differences @ energies).max())
            weights = self._log_weights().cumsum(dim=1).exp().sum(dim=1).max()
            return float(1.25 + spread * weights / 4)

    def shares(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``a``, ``(S, K, C)``, and ``b``, ``(S, K, 1, 1)``, of all hypotheses, mirror images included.

        It counts against a hypothesis that it could have explained larger coefficients: ``b`` has half the logarithm
        of its determinant.
        """
        log_ratio = self.log_variances - NoiseKnots.interpolate(self.log_noise, coordinates)[:, None, None]
        bias = NoiseKnots.interpolate(self.offsets, coordinates) - F.softplus(log_ratio).sum(dim=(1, 3)) / 2
        return self.mirrored((-log_ratio).sigmoid(), self.planes), both(bias)

    def _shrink(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        """Return the gradient, and what computes the density from what was found on the way."""
        coordinates = self.knots.coordinates(sigma)
        shares, bias = self.shares(coordinates)
        log_tails = NoiseKnots.interpolate(self.log_tails, coordinates).clamp(*LOG_TAIL_RANGE)
        tails = with_mirrors(log_tails, log_tails, self.planes, dim=1).exp()[..., None, None]
        weights = NoiseKnots.interpolate(self._log_weights(), coordinates).exp()[..., None, None]

        unit = self._unit(sigma)
        energy = (z / unit).square() / 2
        # h(e) = e r and h'(e) = r^2.
        ratio = tails / (tails + energy)
        # What a hypothesis of the mean variance would take stays out of the scores of all, whose differences keep more
        # digits without it: among strong coefficients those of large variances compete, and their scores are small now.
        # Whatever is left out, the gradient and the sum of the density are the same: it needs no derivative.
        counted, usual = energy * ratio, shares.detach().reciprocal().mean(dim=1, keepdim=True).reciprocal()
        scores = bias - mix(counted, weights[:, 0] * (shares - usual))
        levels, top = self._upwards(scores, coordinates, weights)
        probabilities = self.bounded(self._downwards(levels, top.softmax(dim=1)))
        taken = mix(probabilities, shares.mT)
        coefficients = crop(z, self.radius)
        gradient = coefficients - coefficients * crop(ratio, self.radius).square() * taken

        def density() -> Tensor:
            # Less that of an image without contrast, where all positions are alike: so G(0) = 0.
            blank = self._upwards(bias, coordinates, weights, windows=False)
            evidence = self._evidence(levels, top, weights) - self._evidence(*blank, weights, windows=False)
            evidence = evidence - mix(crop(counted, self.radius), usual)
            return coefficients.square().sum(dim=1, keepdim=True) / 2 + unit**2 * evidence

        return gradient, density

    def _upwards(
        self, scores: Tensor, coordinates: Tensor, weights: Tensor, *, windows: bool = True
    ) -> tuple[list[Evidence], Tensor]:
        """Weigh the evidence, level by level.

        Args:
            scores: ``q_0``, ``(B, K, h, w)``.
            coordinates: of the noise levels, ``(S, J)``.
            weights: ``c``, ``(S, L + 1, 1, 1)``.
            windows: whether evidence is averaged; if not, the same scores are everywhere.

        Returns:
            What each level leaves, and the scores at the top, ``(B, M, h', w')``.
        """
        levels: list[Evidence] = []
        for number, level in enumerate(self.levels):
            priors = self._priors(number, coordinates)
            shared = self._windows(number, coordinates, priors.shape[1])
            largest = scores.detach().amax(dim=1, keepdim=True)
            relative = (scores - largest).clamp_min(LOG_NEGLIGIBLE).exp()
            marginal = mix(relative, priors)
            levels.append(Evidence(largest, relative, marginal, priors, shared))
            evidence = marginal.log()
            if windows:
                evidence = average(evidence, shared, spacing=level.spacing)
            scores = evidence * weights[:, number + 1 : number + 2]
        return levels, scores + both(NoiseKnots.interpolate(self.top, coordinates))

    def _downwards(self, levels: list[Evidence], probabilities: Tensor) -> Tensor:
        """Return the posterior probabilities of the hypotheses, ``(B, K, h, w)``, from those at the top.

        They are of positions at least `radius` from the border.
        """
        margin = 0
        for level, found in zip(reversed(self.levels), reversed(levels), strict=True):
            # Windows are even: averaging is its own adjoint.
            votes = average(probabilities, found.windows, spacing=level.spacing)
            margin += 2 * level.radius
            votes = votes / crop(found.marginal, margin)
            probabilities = mix(votes, found.priors.mT) * crop(found.relative, margin)
        return probabilities

    def _evidence(
        self, levels: list[Evidence], top: Tensor, weights: Tensor, *, windows: bool = True
    ) -> Tensor:
        """Return terms, ``(B, 1, h, w)``, whose sum is that of ``log sum_m exp(q_Lm + o_m) / (c_0 ... c_L)``.

        They are the logarithm at the top and what was left out on the way, at positions at least `radius` from the
        border.
        """
        margin = self.radius if windows else 0
        left_out = []
        for number, found in enumerate(levels):
            weight = weights[:, : number + 1].prod(dim=1, keepdim=True)
            left_out.append(crop(found.largest, margin) / weight)
            margin -= self.levels[number].radius if windows else 0
        total = crop(top, margin).logsumexp(dim=1, keepdim=True) / weights.prod(dim=1, keepdim=True)
        return functools.reduce(torch.add, left_out, total)

    def _log_weights(self) -> Tensor:
        """Return ``log c``, within its range, ``(J, L + 1)``."""
        least, most = LOG_WEIGHT_RANGE
        largest = [most, *(LOG_EMPHASIS + 2 * math.log(level.window) for level in self.levels)]
        limits = torch.tensor(largest, dtype=self.log_weights.dtype, device=self.log_weights.device)
        return torch.minimum(self.log_weights, limits).clamp_min(least)

    def _priors(self, number: int, coordinates: Tensor) -> Tensor:
        """Return the probabilities of what is below, given each class of a level, ``(S, M, N)``; rows sum to 1."""
        logits = self.mirrored(NoiseKnots.interpolate(self.priors[number], coordinates), 1)
        # Scaled: exporters take 1e-12 for nothing and leave it out.
        return (logits.softmax(dim=2) / LEAST + 1) / (1 / LEAST + logits.shape[2])

    def _windows(self, number: int, coordinates: Tensor, classes: int) -> Tensor:
        """Return the window that all classes of a level share, ``(S, M, k, k)``: even both ways, with sum 1."""
        logits = NoiseKnots.interpolate(self.windows[number], coordinates)
        logits = (logits + logits.flip(-1)) / 2
        logits = (logits + logits.flip(-2)) / 2
        windows = logits.flatten(1).softmax(dim=1).view_as(logits)
        return windows[:, None].expand(-1, classes, -1, -1)

    @staticmethod
    def mirrored(table: Tensor, planes: int) -> Tensor:
        """Complete a table for rows, ``(S, 2, M, N)``: for columns that are stored and for their mirror images.

        Returns:
            ``(S, 2M, 2N)``, where the mirror image of a row has the mirrored columns.
        """
        same, other = table.unbind(dim=1)
        return mirrored_table(same, other, planes)

    def folded(self, rows: Tensor) -> Tensor:
        """Add up what belongs to the same parameter: the adjoint of `mirrored` for hypotheses.

        Args:
            rows: one for each hypothesis, mirror images last, ``(2K, C)``.

        Returns:
            ``(2, K, pairs)``.
        """
        own, images = rows.unflatten(0, (2, -1)).unbind()
        (same, other), (image_other, image_same) = (
            without_mirrors(part, self.planes, dim=1) for part in (own, images)
        )
        return torch.stack([same + image_same, other + image_other])


def both(values: Tensor) -> Tensor:
    """Give mirror images the same values: ``(S, N)`` to ``(S, 2N, 1, 1)``."""
    return values.repeat(1, 2)[..., None, None]
