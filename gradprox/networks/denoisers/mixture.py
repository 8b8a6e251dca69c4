r"""The mixture shrinkage: a posterior mean of coefficients under a hierarchical mixture of Gaussians.

A *mixture component* ``k`` stands for one contrast, orientation and texture. It is a Gaussian of mean zero: in an image
without noise the coefficients ``z_i`` of one position have the variances ``v_ki``. If component ``k`` were known to
apply, the best estimate would remove the share ``a_ki = noise / (v_ki + noise)`` of ``z_i``. The component is unknown,
so the shares are averaged with the posterior probabilities of the components. The coefficients of one position
determine these probabilities poorly. Therefore log-likelihoods are averaged over windows, in several levels. A
*mixture class* is a distribution over the components, and its log-likelihood is averaged over a window. A class of the
next level is a distribution over these classes, with a wider window.

Energies are ``e_i = z_i^2 / (2 u^2)`` in units ``u`` of the noise, and ``h(e) = e T / (T + e)`` grows more slowly than
``e`` far above the energy ``T``. With trained offsets ``b`` and ``o``, weights ``c_l``, windows ``w_l`` and
probabilities ``P_l``,

    q_0k(p) = b_k - c_0 sum_i a_ki h(e_i(p)),
    q_lm(p) = c_l sum_d w_l(d) log sum_k P_lmk exp q_(l-1)k(p + d),
    G(z)    = u^2 sum_p [ sum_i e_i(p) + log sum_m exp(q_Lm(p) + o_m) / (c_0 ... c_L) ].

``q_0k`` is the log-likelihood of component ``k`` at position ``p``. ``q_lm`` is that of class ``m`` of level ``l``.
The gradient is ``grad G(z)_i = z_i (1 - h'(e_i) sum_k p_k a_ki)`` with the posterior probabilities ``p_k`` of the
components; a pass back down the levels computes them. Without levels, with exact variances and ``h(e) = e``, the
gradient is the posterior mean under a mixture of Gaussians (Zoran and Weiss, ICCV 2011). Coefficients far above the
noise pass unchanged under every component, because ``h'`` vanishes there.

**G is convex** for every value of the weights. Windows are nonnegative and sum to 1. So adding any ``x(p)`` to all
``q_0k(p)`` adds ``c_1 ... c_L`` times the sum of ``x`` to the sum of the top level's logarithms. The energies may
therefore enter at the bottom: ``G`` is the same sum with ``q_0k = b_k + c_0 sum_i (e_i - a_ki h(e_i))``. This is convex
and nondecreasing in the energies, because ``0 <= h' <= 1`` and ``h'`` decreases. The energies are convex in ``z``, so
``q_0k`` is too. Sums with nonnegative weights, and logarithms of sums of exponentials, keep this property. The sum also
changes by a known amount when the largest log-likelihood of each position is subtracted in the pass up. The subtraction
keeps the digits of the others.

**The Hessian of G is bounded.** Its diagonal part is at most ``1 - min (h' + 2 e h'') = 5/4``. The rest is, for each
level, ``c_0 ... c_l`` times a variance over components or classes: that of ``sum_i a_ki d_i v_i`` for a vector ``v``,
with ``d_i^2 = 2 e_i h'(e_i)^2 <= 27 T_i / 128``. A variance is at most a quarter of the squared range, and averaging
over windows does not increase a sum of squares. Hence

    Hess G <= 5/4 + max_kj sum_i (a_ki - a_ji)^2 27 T_i / 512 * (c_0 + c_0 c_1 + ... + c_0 ... c_L).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from gradprox.networks.borders import crop
from gradprox.networks.denoisers.conditioning import NoiseKnots
from gradprox.networks.denoisers.coupling import mirrored_table, mix, with_mirrors, without_mirrors
from gradprox.networks.denoisers.mixture_levels import (
    ClassLevel,
    LevelTables,
    MixtureLevel,
    log_marginal,
    pass_down,
    pass_up,
)
from gradprox.networks.denoisers.shrinkage import Shrinkage, ShrinkageConfig
from gradprox.networks.strips import joined, like_strips

# Range of log T, where T is the energy beyond which `h` grows more slowly. A larger T would make the bound of the
# Hessian useless, because the bound grows in proportion to T.
LOG_TAIL_RANGE = (-5.0, 5.0)
# Range of log c_0, the weight of the components' log-likelihoods.
LOG_WEIGHT_RANGE = (-5.0, 1.0)


class MixtureConfig(ShrinkageConfig):
    """The settings of a `HierarchicalMixture`.

    Attributes:
        kind: the shrinkage's name in files.
        components: number of mirrored pairs of mixture components.
        levels: levels of mixture classes, from the lowest up. Without levels, the components' posterior
            probabilities depend on the coefficients of the same position only.
    """

    kind: Literal["mixture"] = "mixture"
    components: int = Field(default=48, ge=1, le=1024)
    levels: tuple[MixtureLevel, ...] = Field(
        default=(MixtureLevel(classes=24), MixtureLevel(classes=16, spacing=3)), max_length=8
    )

    def build(self, pairs: int, noise_gain: float, knots: NoiseKnots, planes: int = 1) -> HierarchicalMixture:
        """See `ShrinkageConfig.build`."""
        return HierarchicalMixture(self, pairs, noise_gain, knots, planes)


class HierarchicalMixture(Shrinkage):
    """The gradient of the function ``G`` that this module derives.

    Args:
        config: its settings.
        pairs: see `ShrinkageConfig.build`, as for the other arguments.
        noise_gain: norm of a filter.
        knots: noise levels at which parameters are stored.
        planes: number of color planes; a component has variances for all of them.
    """

    def __init__(
        self, config: MixtureConfig, pairs: int, noise_gain: float, knots: NoiseKnots, planes: int = 1
    ) -> None:
        super().__init__()
        self.noise_gain = noise_gain
        self.knots = knots
        self.planes = planes
        self.radius = 2 * sum(level.radius for level in config.levels)
        count = len(knots)
        noise = 2 * torch.tensor(knots.log_levels)
        # The initial contrasts range from far below to far above the noise, with random variances for every filter.
        # Training fits them to its images before the first step.
        generator = torch.Generator().manual_seed(0)
        contrasts = torch.linspace(-12, -1, config.components)[:, None]
        self.log_variances = nn.Parameter(
            contrasts + torch.randn(2, config.components, pairs, generator=generator)
        )
        self.log_noise = nn.Parameter(noise[:, None].repeat(1, pairs))
        self.log_tails = nn.Parameter(torch.full((count, pairs), 4.0))
        self.offsets = nn.Parameter(torch.zeros(count, config.components))
        weights = torch.tensor([0.0] + [1.0] * len(config.levels))
        self.log_weights = nn.Parameter(weights.repeat(count, 1))
        self.levels = nn.ModuleList()
        below = config.components
        for level in config.levels:
            self.levels.append(ClassLevel(level, below, count, generator))
            below = level.classes
        self.top_offsets = nn.Parameter(torch.zeros(count, below))

    def gradient(self, z: Tensor, sigma: Tensor) -> Tensor:
        """See `Shrinkage.gradient`."""
        return self._shrink(z, sigma)[0]

    def gradient_and_density(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `Shrinkage.gradient_and_density`."""
        gradient, density = self._shrink(z, sigma)
        return gradient, density()

    def slope_bound(self) -> float:
        """See `Shrinkage.slope_bound`.

        Between knots the logarithms of ``c`` and ``T`` are interpolated, so ``T`` and the sum of products of ``c`` are
        largest at a knot. At every noise level ``|a_ki - a_ji| <= tanh(|log v_ki - log v_ji| / 4)``.
        """
        with torch.no_grad():
            tails = self.log_tails.clamp(*LOG_TAIL_RANGE).exp().amax(dim=0)
            energies = with_mirrors(tails, tails, self.planes, dim=0) * 27 / 128
            variances = self.mirrored(self.log_variances[None])[0]
            spread = torch.zeros((), dtype=tails.dtype, device=tails.device)
            for own in variances:
                differences = ((variances - own).abs() / 4).tanh().square()
                spread = torch.maximum(spread, (differences @ energies).max())
            weights = self._log_weights().cumsum(dim=1).exp().sum(dim=1).max()
            return float(1.25 + spread * weights / 4)

    def take_over(self, trained: Shrinkage) -> None:
        """See `Shrinkage.take_over`; the trained shrinkage must be a mixture of the same size."""
        if not isinstance(trained, HierarchicalMixture):
            raise ValueError("its shrinkage is not a mixture")
        state = trained.state_dict()
        sizes = {name: table.shape for name, table in state.items()}
        if sizes != {name: table.shape for name, table in self.state_dict().items()}:
            raise ValueError("its mixture is of another size")
        self.load_state_dict(state)

    def fit(self, variances: Tensor, log_probabilities: Tensor) -> None:
        """Set the components; classes stay as they are.

        Args:
            variances: variances, without noise, of coefficients divided by `noise_gain`, ``(2, K, pairs)``: first for
                the stored filters, then for the mirrored ones.
            log_probabilities: log prior probabilities of the components, the same at all noise levels, ``(K,)``.
        """
        with torch.no_grad():
            self.log_variances.copy_(variances.log())
            self.offsets.copy_(log_probabilities.expand_as(self.offsets))

    def shares(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``a``, ``(S, K, C)``, and ``b``, ``(S, K, 1, 1)``, of all components, mirrored ones included.

        The offset ``b`` contains minus half the log-determinant of the component's covariance, noise included,
        relative to that of the noise.
        """
        log_ratio = self.log_variances - NoiseKnots.interpolate(self.log_noise, coordinates)[:, None, None]
        bias = NoiseKnots.interpolate(self.offsets, coordinates) - F.softplus(log_ratio).sum(dim=(1, 3)) / 2
        return self.mirrored((-log_ratio).sigmoid()), _for_mirrored_too(bias)

    def weights(self, coordinates: Tensor) -> Tensor:
        """Return the weights ``c``, ``(S, L + 1, 1, 1)``."""
        return NoiseKnots.interpolate(self._log_weights(), coordinates).exp()[..., None, None]

    def tables(self, coordinates: Tensor, weights: Tensor) -> list[LevelTables]:
        """Return the parameters of the levels, from the lowest up; ``weights`` is the result of `weights`."""
        return [
            level.at(coordinates, weights[:, number : number + 1])
            for number, level in enumerate(self._class_levels(), start=1)
        ]

    def _shrink(self, z: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[], Tensor]]:
        """Return the gradient, and a function that computes the density from results of the gradient."""
        coordinates = self.knots.coordinates(sigma)
        shares, bias = self.shares(coordinates)
        log_tails = NoiseKnots.interpolate(self.log_tails, coordinates).clamp(*LOG_TAIL_RANGE)
        tails = with_mirrors(log_tails, log_tails, self.planes, dim=1).exp()[..., None, None]
        weights = self.weights(coordinates)
        levels = self.tables(coordinates, weights)
        offsets = _for_mirrored_too(NoiseKnots.interpolate(self.top_offsets, coordinates))

        unit = self._unit(sigma)
        # A baseline common to all components is subtracted from the scores to keep digits in single precision. Where
        # coefficients are strong, only components of large variances are likely; the baseline keeps their scores small.
        # The gradient and the sum of the density do not depend on the baseline, so it needs no derivative.
        baseline = shares.detach().reciprocal().mean(dim=1, keepdim=True).reciprocal()
        scales = weights[:, 0] * (shares - baseline)

        def tail(z: Tensor) -> tuple[Tensor, Tensor]:
            """Return ``h(e)``, and ``h(e) / e``, whose square is ``h'(e)``."""
            energy = (z / unit).square() / 2
            ratio = tails / (tails + energy)
            return energy * ratio, ratio

        def score(z: Tensor) -> Tensor:
            return mix(tail(z)[0], -scales, bias)

        def keep(probabilities: Tensor, z: Tensor) -> Tensor:
            removed = mix(self.bounded(probabilities), shares.mT)
            return z - z * tail(z)[1].square() * removed

        found, top = pass_up(z, levels, score)
        top = top + offsets
        coefficients = crop(z, self.radius)
        strips = like_strips(coefficients, found[0].relative if found else [top])
        probabilities = pass_down(top.softmax(dim=1), found, levels)
        gradient = joined([keep(part, z) for part, z in zip(probabilities, strips, strict=True)])

        def density() -> Tensor:
            # Subtract the value at z = 0, so that G(0) = 0. All positions are alike there, so one is enough.
            flat, flat_top = pass_up(bias, levels, uniform=True)
            flat_value = log_marginal(flat, flat_top + offsets, levels, weights[:, :1], uniform=True)
            value = log_marginal(found, top, levels, weights[:, :1]) - flat_value
            value = value - mix(tail(coefficients)[0], baseline)
            return coefficients.square().sum(dim=1, keepdim=True) / 2 + unit**2 * value

        return gradient, density

    def _class_levels(self) -> list[ClassLevel]:
        return cast(list[ClassLevel], list(self.levels))

    def _log_weights(self) -> Tensor:
        """Return ``log c``, within its range, ``(J, L + 1)``."""
        least, most = LOG_WEIGHT_RANGE
        largest = [most, *(level.config.largest_log_weight for level in self._class_levels())]
        limits = torch.tensor(largest, dtype=self.log_weights.dtype, device=self.log_weights.device)
        return torch.minimum(self.log_weights, limits).clamp_min(least)

    def mirrored(self, table: Tensor) -> Tensor:
        """Append the mirrored rows to a table of stored rows.

        Args:
            table: the stored rows, ``(S, 2, M, N)``: first their columns for stored filters, then for mirrored ones.

        Returns:
            ``(S, 2M, 2N)``; in a mirrored row, the columns of stored and mirrored filters are exchanged.
        """
        same, other = table.unbind(dim=1)
        return mirrored_table(same, other, self.planes)

    def folded(self, rows: Tensor) -> Tensor:
        """Add up the entries that belong to the same parameter: the adjoint of `mirrored`.

        Args:
            rows: one row for each component, mirrored ones last, ``(2K, C)``.

        Returns:
            ``(2, K, pairs)``.
        """
        own, images = rows.unflatten(0, (2, -1)).unbind()
        (same, other), (image_other, image_same) = (
            without_mirrors(part, self.planes, dim=1) for part in (own, images)
        )
        return torch.stack([same + image_same, other + image_other])


def _for_mirrored_too(values: Tensor) -> Tensor:
    """Give mirrored components or classes the values of the stored ones: ``(S, N)`` to ``(S, 2N, 1, 1)``."""
    return values.repeat(1, 2)[..., None, None]
