r"""GradNet-M and mGradNet-M, the modular networks (arXiv 2404.07361, section 5.2).

``D(x) = sum_m c_m rho_m(phi_m(z_m)) W_m^T sigma_m(z_m) + a`` with ``z_m = W_m x + b_m`` and ``sigma_m = grad phi_m``.
The ``W_m`` are the rows of one analysis operator: all modules share one analysis, one synthesis and one norm bound.

How to read it: `ModularNetwork` stacks the modules (`module_stack`) and hands the stack to `composed.AnalysisNetwork`,
which has ``forward``, the potential and the Lipschitz bound. `outer_derivatives` lists the choices of ``rho_m``,
`elementwise`, `group` and `radial` those of ``sigma_m``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypedDict

from gradprox.networks.borders import Boundary
from gradprox.networks.family.activation import ActivationFactory
from gradprox.networks.family.analysis import AnalysisOperator, Dense
from gradprox.networks.family.composed import AnalysisNetwork
from gradprox.networks.family.convolution import Conv2d
from gradprox.networks.family.group import Softmax
from gradprox.networks.family.module_stack import ModuleStack
from gradprox.networks.family.outer_derivatives import ConstantOuterDerivative, OuterDerivative

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class ModuleOptions(TypedDict, total=False):
    """The options that `dense` and `conv` pass on to the constructor of a `ModularNetwork`."""

    activation: ActivationFactory
    outer_derivative: Callable[[], OuterDerivative]
    nonexpansive: bool
    centered: bool


class ModularNetwork(AnalysisNetwork):
    """The common base of GradNet-M and mGradNet-M.

    Args:
        operator: the ``W_m`` and ``b_m``, stacked.
        modules: number ``M`` of modules; each takes the same number of channels.
        activation: makes the activation ``sigma_m`` of each module.
        outer_derivative: makes the outer derivative ``rho_m`` of each module.
        nonexpansive: divide by the proven Lipschitz constant where it exceeds 1.
        centered: subtract a constant, so that the output at 0 is ``a``; see `AnalysisNetwork`.

    Raises:
        ValueError: the modules do not divide the channels, or a part of a monotone network is not monotone.
    """

    keeps_monotone: ClassVar[bool]

    def __init__(
        self,
        operator: AnalysisOperator,
        *,
        modules: int = 2,
        activation: ActivationFactory = Softmax,
        outer_derivative: Callable[[], OuterDerivative] = ConstantOuterDerivative,
        nonexpansive: bool = False,
        centered: bool = False,
    ) -> None:
        if modules < 1 or operator.hidden % modules:
            raise ValueError(
                f"{operator.hidden} channels cannot be divided into {modules} modules of one size"
            )
        width = operator.hidden // modules
        inner = ModuleStack(
            [activation(width) for _ in range(modules)],
            [outer_derivative() for _ in range(modules)],
            monotone=self.keeps_monotone,
        )
        super().__init__(operator, inner, nonexpansive=nonexpansive, centered=centered)

    @classmethod
    def dense(cls, dim: int, hidden: int, *, modules: int = 2, **options: Unpack[ModuleOptions]) -> Self:
        """Build a network for inputs with ``dim`` entries, with ``hidden`` coefficients in each module.

        The other options are those of the class.
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
        """Build a network for images ``(B, channels, H, W)``, with ``filters`` filters in each module.

        The other options are those of the class.
        """
        return cls(
            Conv2d(channels, filters * modules, kernel_size, boundary=boundary), modules=modules, **options
        )


class GradNetM(ModularNetwork):
    """The modular gradient network: weights of any sign, any activation and outer derivative.

    Example:
        >>> import torch
        >>> from gradprox.networks import SmoothedNorm, TanhOuterDerivative
        >>> network = GradNetM.dense(8, 6, modules=4, activation=SmoothedNorm, outer_derivative=TanhOuterDerivative)
        >>> network(torch.rand(5, 8)).shape
        torch.Size([5, 8])
    """

    keeps_monotone = False


class MGradNetM(ModularNetwork):
    """The modular monotone gradient network: nonnegative weights, outer derivatives and slopes.

    Example:
        >>> import torch
        >>> from gradprox.networks import SigmoidOuterDerivative
        >>> network = MGradNetM.conv(1, 6, 3, outer_derivative=SigmoidOuterDerivative, boundary="symmetric")
        >>> network(torch.rand(1, 1, 12, 10)).shape, network.monotone
        (torch.Size([1, 1, 12, 10]), True)
    """

    keeps_monotone = True
