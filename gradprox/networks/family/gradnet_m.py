r"""GradNet-M and mGradNet-M, the modular networks (arXiv 2404.07361, section 5.2).

``D(x) = sum_m c_m rho_m(phi_m(z_m)) W_m^T sigma_m(z_m) + a`` with ``z_m = W_m x + b_m``. The ``W_m`` are the rows of
one operator, so that all modules cost one analysis and one synthesis, and share one tight norm bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypedDict

from gradprox.networks.family.activation import ActivationFactory
from gradprox.networks.family.analysis import AnalysisOperator, Dense
from gradprox.networks.family.composed import AnalysisNetwork
from gradprox.networks.family.convolution import Boundary, Conv2d
from gradprox.networks.family.group import Softmax
from gradprox.networks.family.modules import Modules
from gradprox.networks.family.outer_derivatives import One, Rho

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class ModuleOptions(TypedDict, total=False):
    """What `dense` and `conv` hand on to the constructor of a `ModularNetwork`."""

    activation: ActivationFactory
    rho: Callable[[], Rho]
    nonexpansive: bool
    centered: bool


class ModularNetwork(AnalysisNetwork):
    """What GradNet-M and mGradNet-M share.

    Args:
        operator: the ``W_m`` and ``b_m``, stacked.
        modules: number ``M`` of modules, each on as many channels.
        activation: makes each module's activation.
        rho: makes each module's transform.
        nonexpansive: divide by the proven Lipschitz constant wherever it exceeds 1.
        centered: subtract what the network gives at 0, so that there it gives ``a``; see `AnalysisNetwork`.

    Raises:
        ValueError: the modules do not divide the channels, or a part is not monotone where it must be.
    """

    keeps_monotone: ClassVar[bool]

    def __init__(
        self,
        operator: AnalysisOperator,
        *,
        modules: int = 2,
        activation: ActivationFactory = Softmax,
        rho: Callable[[], Rho] = One,
        nonexpansive: bool = False,
        centered: bool = False,
    ) -> None:
        if modules < 1 or operator.hidden % modules:
            raise ValueError(f"{operator.hidden} channels do not make {modules} modules of one size")
        width = operator.hidden // modules
        inner = Modules(
            [activation(width) for _ in range(modules)],
            [rho() for _ in range(modules)],
            monotone=self.keeps_monotone,
        )
        super().__init__(operator, inner, nonexpansive=nonexpansive, centered=centered)

    @classmethod
    def dense(cls, dim: int, hidden: int, *, modules: int = 2, **options: Unpack[ModuleOptions]) -> Self:
        """Build the network of inputs with ``dim`` entries, with ``hidden`` coefficients in each module.

        Other options are those of the class.
        """
        return cls(Dense(dim, hidden * modules), modules=modules, **options)

    @classmethod
    def conv(
        cls,
        channels: int,
        filters: int,
        kernel_size: int,
        *,
        modules: int = 2,
        boundary: Boundary = "circular",
        **options: Unpack[ModuleOptions],
    ) -> Self:
        """Build the network of images ``(B, channels, H, W)``, with ``filters`` filters in each module.

        Other options are those of the class.
        """
        return cls(
            Conv2d(channels, filters * modules, kernel_size, boundary=boundary), modules=modules, **options
        )


class GradNetM(ModularNetwork):
    """The modular gradient network: weights of any sign, any activation and transform.

    Example:
        >>> import torch
        >>> from gradprox.networks import SmoothedNorm, TanhRho
        >>> network = GradNetM.dense(dim=8, hidden=6, modules=4, activation=SmoothedNorm, rho=TanhRho)
        >>> network(torch.rand(5, 8)).shape
        torch.Size([5, 8])
    """

    keeps_monotone = False


class MGradNetM(ModularNetwork):
    """The modular monotone gradient network: weights, transforms and slopes never negative.

    Example:
        >>> import torch
        >>> from gradprox.networks import SigmoidRho
        >>> network = MGradNetM.conv(channels=1, filters=6, kernel_size=3, rho=SigmoidRho, boundary="symmetric")
        >>> network(torch.rand(1, 1, 12, 10)).shape, network.monotone
        (torch.Size([1, 1, 12, 10]), True)
    """

    keeps_monotone = True
