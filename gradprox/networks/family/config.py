"""Configurations of the family's networks: all that a file needs, besides weights, to build a network again.

Begin with `describe`, which makes a configuration from a network, and `FamilyConfig.build`, which does the reverse.
A configuration is a `CascadedConfig` or a `ModularConfig`, told apart by the name of the network's class.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Annotated, Any, Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from torch import nn

from gradprox.networks.borders import Boundary
from gradprox.networks.family.activation import Activation
from gradprox.networks.family.analysis import AnalysisOperator, Dense
from gradprox.networks.family.cascade import Cascade
from gradprox.networks.family.convolution import Conv2d
from gradprox.networks.family.elementwise import (
    Cubic,
    Elementwise,
    Identity,
    LinearSpline,
    Sigmoid,
    Softplus,
    TanhSum,
)
from gradprox.networks.family.gradnet_c import CascadedNetwork, GradNetC, MGradNetC
from gradprox.networks.family.gradnet_m import GradNetM, MGradNetM, ModularNetwork
from gradprox.networks.family.group import RationalGating, SmoothedNorm, Softmax
from gradprox.networks.family.module_stack import ModuleStack
from gradprox.networks.family.outer_derivatives import (
    ConstantOuterDerivative,
    OuterDerivative,
    SigmoidOuterDerivative,
    SquareplusOuterDerivative,
    TanhOuterDerivative,
)
from gradprox.networks.family.radial import RadialStretch

FamilyNetwork = CascadedNetwork | ModularNetwork

CASCADED: dict[str, type[CascadedNetwork]] = {cls.__name__: cls for cls in (GradNetC, MGradNetC)}
MODULAR: dict[str, type[ModularNetwork]] = {cls.__name__: cls for cls in (GradNetM, MGradNetM)}
ELEMENTWISE: dict[str, type[Elementwise]] = {
    cls.__name__: cls for cls in (Identity, Sigmoid, Softplus, TanhSum, LinearSpline, Cubic)
}
ACTIVATIONS: dict[str, type[Activation]] = {
    **ELEMENTWISE,
    **{cls.__name__: cls for cls in (Softmax, SmoothedNorm, RadialStretch, RationalGating)},
}
OUTER_DERIVATIVES: dict[str, type[OuterDerivative]] = {
    cls.__name__: cls
    for cls in (
        ConstantOuterDerivative,
        SigmoidOuterDerivative,
        SquareplusOuterDerivative,
        TanhOuterDerivative,
    )
}

# Files are not trusted, and each layer, module or term costs time: their number is limited.
Count = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[int, Field(ge=1, le=2**24)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlainConfig(_Part):
    """An activation without options."""

    kind: Literal["Identity", "Sigmoid", "Softplus"]


class TanhSumConfig(_Part):
    """See `TanhSum`."""

    kind: Literal["TanhSum"]
    terms: Count
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


class RadialStretchConfig(_Part):
    """See `RadialStretch`."""

    kind: Literal["RadialStretch"]
    groups: Size
    wells: Count
    monotone: bool


class RationalGatingConfig(_Part):
    """See `RationalGating`."""

    kind: Literal["RationalGating"]
    sharp: bool


ElementwiseConfig = PlainConfig | TanhSumConfig | LinearSplineConfig | CubicConfig
ActivationConfig = ElementwiseConfig | GroupConfig | RadialStretchConfig | RationalGatingConfig

CONFIGS: dict[str, type[_Part]] = {
    kind: config
    for config in get_args(ActivationConfig)
    for kind in get_args(config.model_fields["kind"].annotation)
}


class DenseConfig(_Part):
    """See `Dense`."""

    form: Literal["dense"] = "dense"
    dim: Size

    def build(self, hidden: int, *, bias: bool) -> AnalysisOperator:
        """Make the operator with ``hidden`` coefficients."""
        return Dense(self.dim, hidden, bias=bias)


class ConvConfig(_Part):
    """See `Conv2d`."""

    form: Literal["conv"] = "conv"
    channels: Size
    kernel_size: int = Field(ge=1, le=1023)
    boundary: Boundary

    def build(self, hidden: int, *, bias: bool) -> AnalysisOperator:
        """Make the operator with ``hidden`` filters."""
        return Conv2d(self.channels, hidden, self.kernel_size, boundary=self.boundary, bias=bias)


class FamilyConfig(_Part):
    """The options that both kinds of networks share.

    Attributes:
        operator: the analysis operator.
        hidden: number of its coefficient channels; of all modules together.
        nonexpansive: whether the network is divided by its Lipschitz constant.
        centered: whether a constant is subtracted, so that the output at 0 is the output bias.
    """

    operator: Annotated[DenseConfig | ConvConfig, Field(discriminator="form")]
    hidden: Size
    nonexpansive: bool = False
    centered: bool = False

    def build(self) -> FamilyNetwork:
        """Make the network, with random weights.

        Raises:
            ValueError: the parts do not fit each other.
        """
        return self._build(nonexpansive=self.nonexpansive)

    def shapes(self) -> dict[str, torch.Size]:
        """Return the shape of each weight without allocating any, however large they are.

        Raises:
            ValueError: the parts do not fit each other.
        """
        with torch.device("meta"):
            return shapes_of(self._build(nonexpansive=False))

    @abstractmethod
    def _build(self, *, nonexpansive: bool) -> FamilyNetwork: ...


class CascadedConfig(FamilyConfig):
    """A `GradNetC` or `MGradNetC`.

    Attributes:
        network: name of the class.
        layers: number of layers.
        activation: of each layer.
    """

    network: Literal["GradNetC", "MGradNetC"]
    layers: Count
    activation: Annotated[ElementwiseConfig, Field(discriminator="kind")]

    def _build(self, *, nonexpansive: bool) -> FamilyNetwork:
        options = self.activation.model_dump(exclude={"kind"})
        return CASCADED[self.network](
            self.operator.build(self.hidden, bias=False),
            layers=self.layers,
            activation=partial(ELEMENTWISE[self.activation.kind], **options),
            nonexpansive=nonexpansive,
            centered=self.centered,
        )


class ModularConfig(FamilyConfig):
    """A `GradNetM` or `MGradNetM`.

    Attributes:
        network: name of the class.
        modules: number of modules.
        activation: of each module.
        outer_derivative: of each module.
    """

    network: Literal["GradNetM", "MGradNetM"]
    modules: Count
    activation: Annotated[ActivationConfig, Field(discriminator="kind")]
    outer_derivative: Literal[
        "ConstantOuterDerivative",
        "SigmoidOuterDerivative",
        "SquareplusOuterDerivative",
        "TanhOuterDerivative",
    ] = "ConstantOuterDerivative"

    def _build(self, *, nonexpansive: bool) -> FamilyNetwork:
        options = self.activation.model_dump(exclude={"kind"})
        return MODULAR[self.network](
            self.operator.build(self.hidden, bias=True),
            modules=self.modules,
            activation=partial(ACTIVATIONS[self.activation.kind], **options),
            outer_derivative=OUTER_DERIVATIVES[self.outer_derivative],
            nonexpansive=nonexpansive,
            centered=self.centered,
        )


_READER: TypeAdapter[CascadedConfig | ModularConfig] = TypeAdapter(
    Annotated[CascadedConfig | ModularConfig, Field(discriminator="network")]
)


def read_family_config(text: str) -> FamilyConfig:
    """Read a configuration from JSON.

    Raises:
        pydantic.ValidationError: the text is not a configuration.
    """
    return _READER.validate_json(text)


def describe(network: FamilyNetwork) -> FamilyConfig:
    """Return the configuration of a network.

    Raises:
        ValueError: the network has parts or options that its ``dense`` and ``conv`` constructors do not make.
    """
    name, operator, inner = type(network).__name__, network.operator, network.inner
    if (CASCADED | MODULAR).get(name) is not type(network):
        raise ValueError(f"a model file cannot describe a network of class {name}")
    part: dict[str, Any]
    if isinstance(operator, Conv2d):
        part = {"form": "conv", "kernel_size": operator.weight.shape[-1]}
        part |= {"channels": operator.channels, "boundary": operator.boundary}
    else:
        part = {"form": "dense", "dim": operator.weight.shape[1]}
    options: dict[str, Any] = {"network": name, "operator": part, "hidden": operator.hidden}
    options |= {"nonexpansive": network.nonexpansive, "centered": network.centered}
    different = ValueError(f"{name} has parts that its constructors dense and conv do not make")
    if isinstance(inner, ModuleStack):
        options |= {"modules": len(inner.activations)}
        activations = [_describe_activation(activation) for activation in inner.activations]
        outers = [type(outer).__name__ for outer in inner.outer_derivatives]
        if len(set(outers)) > 1:
            raise different
        options |= {"outer_derivative": outers[0]}
    elif isinstance(inner, Cascade):
        options |= {"layers": len(inner.layers)}
        activations = [_describe_activation(activation) for activation in inner.layers]
    else:
        raise different
    if len(set(activations)) > 1:
        raise different
    config = _READER.validate_python(options | {"activation": activations[0].model_dump()})
    if config.shapes() != shapes_of(network):
        raise different
    return config


def shapes_of(network: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of each weight."""
    return {name: value.shape for name, value in network.state_dict().items()}


def _describe_activation(activation: nn.Module) -> _Part:
    kind = type(activation).__name__
    if ACTIVATIONS.get(kind) is not type(activation):
        raise ValueError(f"{kind} is not an activation of gradprox, so a model file cannot describe it")
    config = CONFIGS[kind]
    options = {name: getattr(activation, name) for name in config.model_fields if name != "kind"}
    return config.model_validate({"kind": kind} | options)
