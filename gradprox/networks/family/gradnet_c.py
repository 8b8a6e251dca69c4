r"""GradNet-C and mGradNet-C, the cascaded networks (arXiv 2404.07361, section 5.1).

All layers share one ``W``, and every layer acts on single coefficients. So ``D(x) = W^T h(W x) + a`` with a scalar
cascade ``h`` per coefficient, and the Jacobian is ``W^T diag(h') W``.

How to read it: `CascadedNetwork` builds the cascade (`cascade`) from elementwise activations (`elementwise`) and hands
it to `composed.AnalysisNetwork`, which has ``forward``, the potential and the Lipschitz bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypedDict

from gradprox.networks.borders import Boundary
from gradprox.networks.family.analysis import AnalysisOperator, Dense
from gradprox.networks.family.cascade import Cascade
from gradprox.networks.family.composed import AnalysisNetwork
from gradprox.networks.family.convolution import Conv2d
from gradprox.networks.family.elementwise import ElementwiseFactory, TanhSum

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class CascadeOptions(TypedDict, total=False):
    """The options that `dense` and `conv` pass on to the constructor of a `CascadedNetwork`."""

    layers: int
    activation: ElementwiseFactory
    nonexpansive: bool
    centered: bool


class CascadedNetwork(AnalysisNetwork):
    """The common base of GradNet-C and mGradNet-C.

    Args:
        operator: ``W``, without a bias ``b``, because the cascade has its own.
        layers: number ``L`` of layers.
        activation: makes the elementwise activation of each layer.
        nonexpansive: divide by the proven Lipschitz constant where it exceeds 1.
        centered: subtract a constant, so that the output at 0 is ``a``; see `AnalysisNetwork`.

    Raises:
        ValueError: there is no layer, an activation is not elementwise, or one of a monotone network is not monotone.
    """

    keeps_monotone: ClassVar[bool]

    def __init__(
        self,
        operator: AnalysisOperator,
        *,
        layers: int = 2,
        activation: ElementwiseFactory = TanhSum,
        nonexpansive: bool = False,
        centered: bool = False,
    ) -> None:
        cascade = Cascade([activation(operator.hidden) for _ in range(layers)], monotone=self.keeps_monotone)
        super().__init__(operator, cascade, nonexpansive=nonexpansive, centered=centered)

    @classmethod
    def dense(cls, dim: int, hidden: int, **options: Unpack[CascadeOptions]) -> Self:
        """Build a network for inputs with ``dim`` entries, with ``hidden`` coefficients.

        The other options are those of the class.
        """
        return cls(Dense(dim, hidden, bias=False), **options)

    @classmethod
    def conv(
        cls,
        channels: int,
        filters: int,
        kernel_size: int,
        *,
        boundary: Boundary = "circular",
        **options: Unpack[CascadeOptions],
    ) -> Self:
        """Build a network for images ``(B, channels, H, W)`` of any size; see `Conv2d`.

        The other options are those of the class.
        """
        return cls(Conv2d(channels, filters, kernel_size, boundary=boundary, bias=False), **options)


class GradNetC(CascadedNetwork):
    """The cascaded gradient network: ``alpha`` and ``beta`` of any sign, any elementwise activation.

    Example:
        >>> import torch
        >>> network = GradNetC.dense(dim=2, hidden=16, layers=3)
        >>> network(torch.rand(5, 2)).shape, network.monotone
        (torch.Size([5, 2]), False)
    """

    keeps_monotone = False


class MGradNetC(CascadedNetwork):
    """The cascaded monotone gradient network: ``alpha, beta >= 0`` and nondecreasing activations.

    Example:
        >>> import torch
        >>> network = MGradNetC.conv(channels=3, filters=8, kernel_size=5, nonexpansive=True)
        >>> y = torch.rand(1, 3, 16, 16)
        >>> network(y).shape, network.potential(y).shape
        (torch.Size([1, 3, 16, 16]), torch.Size([1]))
        >>> network.lipschitz_bound() <= 1
        True
    """

    keeps_monotone = True
