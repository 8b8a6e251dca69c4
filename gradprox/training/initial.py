"""The network a training starts from: fresh, or the weights of a trained one as far as they fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from gradprox.errors import InputError
from gradprox.networks import (
    Equilibrium,
    EquilibriumConfig,
    GradientNetwork,
    IdentityPath,
    IdentityPathConfig,
)
from gradprox.networks.borders import crop
from gradprox.networks.denoisers.config import ImageNetwork, build
from gradprox.training.components import fit_hypotheses
from gradprox.training.frames import most_distinct, tighten
from gradprox.training.recipe import Recipe
from gradprox.zoo import load_model

# Of what a gate sees, the share of the other color planes when a gray network becomes one for colors.
OTHER_PLANES = 0.1


def initial_network(recipe: Recipe, images: Sequence[Tensor] = ()) -> ImageNetwork:
    """Return the network of a recipe before its first step.

    Args:
        recipe: what is trained.
        images: training images, ``(C, H, W)`` of 8 bits, which a mixture's hypotheses are fitted to; none: they
            stay random.

    Raises:
        InputError: the recipe starts from a model that is missing or of another architecture.
    """
    network = build(recipe.network)
    if isinstance(recipe.network, IdentityPathConfig) and recipe.network.form == "mixture":
        assert isinstance(network, IdentityPath)  # noqa: S101  what that configuration builds
        return _mixture(network, recipe, images)
    if not recipe.initial:
        return network
    trained = load_model(recipe.initial).network
    if isinstance(recipe.network, EquilibriumConfig):
        weights = _for_equilibrium(trained, recipe.network, recipe.initial)
        network.load_state_dict(network.state_dict() | weights)
        return network
    assert isinstance(network, IdentityPath)  # noqa: S101  what the other configuration builds
    taken = {name: getattr(recipe.network, name) for name in ("channels", "gates", "nonexpansive")}
    if not isinstance(trained, IdentityPath) or (
        trained.config.model_copy(update=taken) != recipe.network
        or trained.channels not in (1, network.channels)
        or (trained.config.gates is not None and trained.config.gates != recipe.network.gates)
        or (recipe.network.gates or 0) > network.channels * network.bank.pairs
    ):
        raise _misfit(recipe.initial)
    weights = trained.state_dict()
    if trained.channels != network.channels:
        weights = _spread(weights, network.channels)
    if trained.config.gates != network.config.gates:
        weights = _strongest_gates(weights, recipe.network.gates or 0)
    if trained.config.nonexpansive != network.config.nonexpansive:
        # The same coupling, but gates of another kind, which start afresh.
        weights = {name: table for name, table in weights.items() if ".gates." not in name}
    network.load_state_dict(network.state_dict() | weights)
    return network


def _mixture(network: IdentityPath, recipe: Recipe, images: Sequence[Tensor]) -> IdentityPath:
    """Take a mixture as it is, else filters alone, or fresh ones; fit hypotheses to the images.

    Filters become wider by zeros; where fewer are wanted, the most distinct are kept. Their norms are those that they
    are applied with, so that a learning rate means the same for all.
    """
    pairs, bank = network.bank.pairs, network.bank
    fewer = pairs < network.config.kernel_size**2 // 2
    if recipe.initial:
        trained = load_model(recipe.initial).network
        if not isinstance(trained, IdentityPath):
            raise _misfit(recipe.initial)
        if trained.config == network.config:
            network.load_state_dict(trained.state_dict())
            return network
        bank, fewer = trained.bank, pairs < trained.bank.pairs
    wider = network.config.kernel_size - bank.kernel_size
    if pairs > bank.pairs or wider < 0:
        raise _misfit(recipe.initial)
    kept = most_distinct(bank, pairs) if bank.pairs > pairs else bank.filters().detach()[:pairs, 0]
    network.bank.load_state_dict({"weight": _wider(kept, wider)})
    if fewer:
        tighten(network.bank)
    if images:
        fit_hypotheses(network, images, recipe.seed)
    return network


def _wider(filters: Tensor, taps: int) -> Tensor:
    """Surround filters by zeros, around the mean that they lose: zeros added to anything else would not be zeros."""
    return F.pad(filters - filters.mean(dim=(-1, -2), keepdim=True), (taps // 2,) * 4)


def _misfit(name: str) -> InputError:
    return InputError(f"{name}: another architecture than the recipe's: it cannot start this training")


def _for_equilibrium(trained: GradientNetwork, config: EquilibriumConfig, name: str) -> dict[str, Tensor]:
    """Take an equilibrium as it is; else make a one-pass network the start, and give the regularizer its parts.

    These are its filters, wider by zeros, its mixing, and its windows, narrower.
    """
    if isinstance(trained, Equilibrium) and trained.config == config:
        return trained.state_dict()
    inner = config.regularizer
    if not isinstance(trained, IdentityPath) or (config.start and config.start != trained.config):
        raise _misfit(name)
    wider, narrower = inner.kernel_size - trained.config.kernel_size, trained.config.window - inner.window
    fitting = trained.config.model_copy(
        update={
            "kernel_size": inner.kernel_size,
            "window": inner.window,
            "components": inner.components,
            "pairs": inner.pairs,
        }
    )
    pairs = inner.pairs or inner.kernel_size**2 // 2
    if fitting != inner or pairs != trained.bank.pairs or min(wider, narrower) < 0:
        raise _misfit(name)
    state = trained.state_dict()
    weights = {f"start.{key}": table for key, table in state.items()} if config.start else {}
    weights["regularizer.bank.weight"] = _wider(state["bank.weight"], wider)
    if inner.form == "energy-gated":
        coupling = "shrinkage.mixing_logits", "shrinkage.window_logits"
        weights |= {f"regularizer.{key}": state[key] for key in coupling}
        weights[f"regularizer.{coupling[1]}"] = crop(state[coupling[1]], narrower // 2)
    return weights


def _strongest_gates(weights: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """Keep the gates to which channels give the most, on average over noise levels."""
    kept = dict(weights)
    for name, table in weights.items():
        if name.endswith("mixing_logits"):
            shares = table.flatten(1, 2).softmax(dim=1).view_as(table).sum(dim=(0, 1, 3))
            strongest = shares.topk(count).indices.sort().values
            prefix = name.removesuffix("mixing_logits")
            kept[name] = table[:, :, strongest]
            kept[f"{prefix}window_logits"] = weights[f"{prefix}window_logits"][:, strongest]
            for gate in [other for other in weights if other.startswith(f"{prefix}gates.")]:
                kept[gate] = weights[gate][..., strongest]
    return kept


def _spread(weights: dict[str, Tensor], planes: int) -> dict[str, Tensor]:
    """Give each plane the gates of the gray network, and let it see a little of the other planes."""
    spread = dict(weights)
    for name, table in weights.items():
        if name.endswith("mixing_logits"):
            # Columns are normalized together: what the other planes get in all is their share.
            pairs = table.shape[-1]
            total = table.flatten(1, 2).logsumexp(dim=1)
            entries = 2 * pairs * (planes - 1)
            others = total + math.log(OTHER_PLANES / (1 - OTHER_PLANES) / entries)
            wide = others.repeat(1, planes)[:, None, None].repeat(1, 2, planes * pairs, 1)
            for p in range(planes):
                own = slice(p * pairs, (p + 1) * pairs)
                wide[:, :, own, own] = table
            spread[name] = wide
        elif name.endswith("window_logits"):
            spread[name] = table.repeat(1, planes, 1, 1)
        elif ".gates." in name:
            spread[name] = table.repeat(1, 1, planes)
    return spread
