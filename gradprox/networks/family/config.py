"""What, besides its weights, makes a network of the general family: enough to build it again."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal, cast, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from gradprox.networks.family.activation import Activation
from gradprox.networks.family.analysis import AnalysisOperator, Dense
from gradprox.networks.family.cascade import Cascade
from gradprox.networks.family.convolution import Boundary, Conv2d
from gradprox.networks.family.elementwise import (
    Cubic,
    ElementwiseFactory,
    Identity,
    LinearSpline,
    Sigmoid,
    Softplus,
    TanhMixture,
)
from gradprox.networks.family.gradnet_c import CascadedNetwork, GradNetC, MGradNetC
from gradprox.networks.family.gradnet_m import GradNetM, MGradNetM, ModularNetwork
from gradprox.networks.family.group import EnergyGating, SmoothedNorm, Softmax
from gradprox.networks.family.modules import Modules
from gradprox.networks.family.outer_derivatives import One, Rho, SigmoidRho, Squareplus, TanhRho
from gradprox.networks.family.radial import RadialMixture

FamilyNetwork = CascadedNetwork | ModularNetwork

CASCADED: dict[str, type[CascadedNetwork]] = {cls.__name__: cls for cls in (GradNetC, MGradNetC)}
MODULAR: dict[str, type[ModularNetwork]] = {cls.__name__: cls for cls in (GradNetM, MGradNetM)}
ACTIVATIONS: dict[str, type[Activation]] = {
    cls.__name__: cls
    for cls in (
        *(Identity, Sigmoid, Softplus, TanhMixture, LinearSpline, Cubic),
        *(Softmax, SmoothedNorm, RadialMixture, EnergyGating),
    )
}
RHOS: dict[str, type[Rho]] = {cls.__name__: cls for cls in (One, SigmoidRho, Squareplus, TanhRho)}

# Of layers, modules, terms: files are not trusted, and every one of them costs time.
Count = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[int, Field(ge=1, le=2**24)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlainConfig(_Part):
    """An activation without options."""

    kind: Literal["Identity", "Sigmoid", "Softplus"]


class TanhMixtureConfig(_Part):
    """See `TanhMixture`."""

    kind: Literal["TanhMixture"]
    components: Count
    monotone: bool


class LinearSplineConfig(_Part):
    """See `LinearSpline`."""

    kind: Literal["LinearSpline"]
    cells: Count
    reach: float
    monotone: bool


class CubicConfig(_Part):
    """See `Cubic`."""

    kind: Literal["Cubic"]
    monotone: bool


class GroupConfig(_Part):
    """An activation whose only option is the number of groups."""

    kind: Literal["Softmax", "SmoothedNorm"]
    groups: Size


class RadialMixtureConfig(_Part):
    """See `RadialMixture`."""

    kind: Literal["RadialMixture"]
    groups: Size
    components: Count
    monotone: bool


class EnergyGatingConfig(_Part):
    """See `EnergyGating`."""

    kind: Literal["EnergyGating"]
    sharp: bool


CONFIGS: dict[str, type[_Part]] = {
    kind: config
    for config in (
        *(PlainConfig, TanhMixtureConfig, LinearSplineConfig, CubicConfig),
        *(GroupConfig, RadialMixtureConfig, EnergyGatingConfig),
    )
    for kind in get_args(config.model_fields["kind"].annotation)
}

ActivationConfig = Annotated[
    PlainConfig
    | TanhMixtureConfig
    | LinearSplineConfig
    | CubicConfig
    | GroupConfig
    | RadialMixtureConfig
    | EnergyGatingConfig,
    Field(discriminator="kind"),
]


class DenseConfig(_Part):
    """See `Dense`."""

    form: Literal["dense"] = "dense"
    dim: Size


class ConvConfig(_Part):
    """See `Conv2d`."""

    form: Literal["conv"] = "conv"
    channels: Size
    kernel_size: int = Field(ge=1, le=1023)
    boundary: Boundary


class FamilyConfig(BaseModel):
    """What a `GradNetC`, `GradNetM`, `MGradNetC` or `MGradNetM` is made of.

    Attributes:
        network: the class.
        operator: the analysis operator.
        hidden: its number of coefficient channels, of all modules together.
        repeats: number of layers or of modules.
        activation: of each of them.
        rho: the transform of each module; "One" in a cascade, which has none.
        nonexpansive: whether the network is divided by its Lipschitz constant.
        centered: whether its value at 0 is subtracted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: Literal["GradNetC", "MGradNetC", "GradNetM", "MGradNetM"]
    operator: Annotated[DenseConfig | ConvConfig, Field(discriminator="form")]
    hidden: Size
    repeats: Count
    activation: ActivationConfig
    rho: Literal["One", "SigmoidRho", "Squareplus", "TanhRho"] = "One"
    nonexpansive: bool = False
    centered: bool = False

    @classmethod
    def of(cls, network: FamilyNetwork) -> FamilyConfig:
        """Describe a network.

        Raises:
            ValueError: it has parts of other classes, or more options, than its ``dense`` and ``conv`` give it.
        """
        if {**CASCADED, **MODULAR}.get(type(network).__name__) is not type(network):
            raise ValueError(f"{type(network).__name__} is no network that a file describes")
        inner, operator = network.inner, network.operator
        activations = list(inner.layers if isinstance(inner, Cascade) else cast(Modules, inner).activations)
        rhos = {type(rho).__name__ for rho in inner.rhos} if isinstance(inner, Modules) else {"One"}
        described = {_describe(activation) for activation in activations}
        part: dict[str, Any]
        if isinstance(operator, Conv2d):
            part = {"form": "conv", "kernel_size": operator.weight.shape[-1]}
            part |= {"channels": operator.channels, "boundary": operator.boundary}
        else:
            part = {"form": "dense", "dim": operator.weight.shape[1]}
        config = cls.model_validate(
            {
                "network": type(network).__name__,
                "operator": part,
                "hidden": operator.hidden,
                "repeats": len(activations),
                "activation": described.pop(),
                "rho": rhos.pop(),
                "nonexpansive": network.nonexpansive,
                "centered": network.centered,
            }
        )
        if described or rhos or config.shapes() != shapes_of(network):
            raise ValueError(f"{type(network).__name__} is made of parts that its constructors do not make")
        return config

    def build(self) -> FamilyNetwork:
        """Make the network, with random weights.

        Raises:
            ValueError: the parts do not fit each other.
        """
        return self._build(nonexpansive=self.nonexpansive)

    def shapes(self) -> dict[str, torch.Size]:
        """Return the shape of each weight, without making any: sizes are of no harm.

        Raises:
            ValueError: the parts do not fit each other.
        """
        with torch.device("meta"):
            return shapes_of(self._build(nonexpansive=False))

    def _build(self, *, nonexpansive: bool) -> FamilyNetwork:
        part, cascaded = self.operator, self.network in CASCADED
        operator: AnalysisOperator
        if isinstance(part, DenseConfig):
            operator = Dense(part.dim, self.hidden, bias=not cascaded)
        else:
            operator = Conv2d(
                part.channels, self.hidden, part.kernel_size, boundary=part.boundary, bias=not cascaded
            )
        options = self.activation.model_dump(exclude={"kind"})
        activation = partial(ACTIVATIONS[self.activation.kind], **options)
        if cascaded:
            return CASCADED[self.network](
                operator,
                layers=self.repeats,
                activation=cast(ElementwiseFactory, activation),  # `Cascade` looks at what it makes
                nonexpansive=nonexpansive,
                centered=self.centered,
            )
        return MODULAR[self.network](
            operator,
            modules=self.repeats,
            activation=activation,
            rho=RHOS[self.rho],
            nonexpansive=nonexpansive,
            centered=self.centered,
        )


def shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of each weight."""
    return {name: value.shape for name, value in network.state_dict().items()}


def _describe(activation: Any) -> _Part:
    kind = type(activation).__name__
    if ACTIVATIONS.get(kind) is not type(activation):
        raise ValueError(f"{kind} is no activation of gradprox: another program could not build it")
    config = CONFIGS[kind]
    options = {name: getattr(activation, name) for name in config.model_fields if name != "kind"}
    return config.model_validate({"kind": kind} | options)
