"""One step of a training: the network, the loss, the change of the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from gradprox.errors import InputError
from gradprox.networks import Equilibrium, IdentityPath
from gradprox.networks.borders import extend
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.networks.denoisers.implicit import WarmStart
from gradprox.priors import prior_of
from gradprox.training.losses import image_loss
from gradprox.training.patches import Batch, NoisyBatch, seed_of
from gradprox.training.recipe import Recipe
from gradprox.training.restoration import Restorations
from gradprox.training.unsupervised import is_unsupervised, neighbor2neighbor, sure
from gradprox.training.updates import adam, average_weights, averaged_copy, update
from gradprox.training.workers import Workers

# From noisy images, noise levels and the number of the batch to restored images.
Forward = Callable[[Tensor, Tensor, int], Tensor]
# For the derivatives of an equilibrium if a recipe gives no tolerance; outside training they are solved to rounding.
DERIVATIVE_TOLERANCE = 0.01


class Trainer:
    """A network with everything that a step changes.

    Attributes:
        optimizer: of the network's weights.
        average: a copy of the network with averaged weights, if the recipe asks for it.
    """

    def __init__(
        self,
        network: ImageNetwork,
        recipe: Recipe,
        device: torch.device | str,
        group: Workers,
        compiled: bool,
    ) -> None:
        self.network, self.recipe, self.device, self.group = network, recipe, device, group
        self.compiled = compiled
        if recipe.loss == "sure" and compiled:
            raise InputError("sure needs second derivatives, which cannot be compiled: train without it")
        self.forward = _forward(network, recipe, compiled)
        self.prior = prior_of(network, recipe.name)
        if recipe.loss == "neighbor2neighbor" and group.count > 1:
            raise InputError("neighbor2neighbor: a training runs in one process, not under torchrun")
        errors = "mse" if is_unsupervised(recipe.loss) else recipe.loss
        self.loss = image_loss(errors, recipe.loss_power, recipe.loss_gamma)
        self.optimizer = adam(network, recipe)
        self.average = averaged_copy(network, recipe)

    @property
    def result(self) -> ImageNetwork:
        """The network to validate and to save: with averaged weights, if the recipe asks for them."""
        return self.network if self.average is None else self.average

    def denoise(self, batch: Batch | NoisyBatch, step: int, *, first_step: bool) -> Tensor:
        """Take a step that denoises; return the loss of this process's share of the batch.

        Raises:
            InputError: the compiler fails, which shows in the first step.
        """
        try:
            if isinstance(batch, NoisyBatch):
                return self._update(self._without_clean(batch), step)
            noisy, clean, sigma = self._share(batch.noisy, batch.clean, batch.sigma)
            mixed = self.recipe.precision == "bfloat16"
            with torch.autocast(noisy.device.type, torch.bfloat16, enabled=mixed):
                error = self.forward(noisy, sigma, batch.number) - clean
            return self._update(self.loss(error.float(), sigma), step)
        except RuntimeError as problem:
            if self.compiled and first_step:
                reason = str(problem).partition("\n")[0]
                raise InputError(f"torch.compile failed: {reason}; train without it") from problem
            raise

    def restore(self, restorations: Restorations, place: int, step: int) -> Tensor:
        """Take a step that restores, in single precision, which line searches need; return the loss."""
        x, problem = restorations.continued(place, step, self.prior)
        losses = self.loss((x - problem.clean).float(), x.new_full((len(x),), problem.noise))
        return self._update(losses, step)

    def _without_clean(self, batch: NoisyBatch) -> Tensor:
        """Return the losses of noisy patches alone, ``(B,)``."""
        noisy, signs, sigma = self._share(batch.noisy, batch.signs, batch.sigma)

        def denoise(y: Tensor) -> Tensor:
            return self.forward(y, sigma, batch.number)

        if self.recipe.loss == "sure":
            risk = sure(denoise, noisy, sigma, signs, differentiable=True)
        else:
            risk = neighbor2neighbor(denoise, noisy, seed_of(self.recipe.seed, batch.number, 3))
        return risk / sigma**self.recipe.loss_power

    def _share(self, *parts: Tensor) -> list[Tensor]:
        share = self.group.share(self.recipe.batch_size)
        return [part[share].to(self.device) for part in parts]

    def _update(self, losses: Tensor, step: int) -> Tensor:
        """Change the weights to lower the mean of the losses, ``(B,)``; return the mean."""
        loss = losses.mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average_gradients(self.network)
        update(self.optimizer, self.recipe, step)
        if self.average is not None and self.recipe.ema is not None:
            average_weights(self.average, self.network, self.recipe.ema, step)
        return loss


def _forward(network: ImageNetwork, recipe: Recipe, compiled: bool) -> Forward:
    """Return the function that computes the network in training.

    With repeated batches an equilibrium starts from its last solution for the same batch. A compiled identity path
    takes patches in one piece. The norm of its filters is not compiled: compilers know no complex numbers, and it is a
    small part of a step.

    Raises:
        InputError: an equilibrium is to be compiled.
    """
    if isinstance(network, Equilibrium):
        if compiled:
            raise InputError(
                "an equilibrium iterates until it converges, which cannot be compiled: train without it"
            )
        first, second = recipe.tolerance, recipe.derivative_tolerance
        first = network.tolerance if first is None else first
        second = DERIVATIVE_TOLERANCE if second is None else second
        if recipe.repeated_batches is None:
            return lambda x, sigma, _: network.solve(x, sigma, first, second)
        found: dict[int, WarmStart] = defaultdict(WarmStart)
        return lambda x, sigma, number: network.solve(x, sigma, first, second, found[number])
    if not compiled:
        return lambda x, sigma, _: network(x, sigma)
    if isinstance(network, IdentityPath):
        inside = torch.compile(network.inside)
        return lambda x, sigma, _: inside(extend(x, network.radius), sigma, network.bank.filters())
    whole = torch.compile(network)
    return lambda x, sigma, _: whole(x, sigma)
