"""A recipe: the settings of a training, which determine the weights together with the images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gradprox.errors import InputError
from gradprox.networks import EquilibriumConfig, IdentityPathConfig
from gradprox.networks.denoisers.config import ImageNetworkConfig
from gradprox.noise import parse_signal_noise
from gradprox.training.losses import LossName
from gradprox.training.noisy_images import ESTIMATED
from gradprox.training.unsupervised import UnsupervisedLoss, is_unsupervised

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# Blur kernels of up to 27 pixels per side must fit the patches that a training restores.
LEAST_RESTORED = 32


def _increasing(levels: tuple[float, float]) -> tuple[float, float]:
    if not 0 < levels[0] < levels[1]:
        raise ValueError(f"expected two increasing positive numbers, got {levels}")
    return levels


class RestorationConfig(BaseModel):
    """The part of a training that restores images in a solver, see `gradprox.training.restoration`.

    Attributes:
        share: share of the training steps that restore; the others denoise.
        noise_range: least and largest noise level of the measurements, on the scale of images in ``[0, 1]``.
        sensing: share of the restorations that recover patches from random coefficients of the cosine transform; the
            others deblur, by random kernels.
        steps: largest number of solver steps after the warm start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(default=0.5, gt=0, le=1)
    noise_range: tuple[float, float] = (1.5 / 255, 10 / 255)
    sensing: float = Field(default=0.2, ge=0, le=1)
    steps: int = Field(default=40, ge=1)

    _ordered = field_validator("noise_range")(_increasing)


class Recipe(BaseModel):
    """The settings of a training that removes Gaussian noise, and on request also restores images in a solver.

    With the losses ``"sure"`` and ``"neighbor2neighbor"`` the training images are noisy and stay as they are: entries
    about noise levels and validation levels have no effect.

    Attributes:
        name: the name of the model.
        network: the architecture.
        initial: the model, by name or file, from which the weights start; empty for a new network. A color network may
            start from a gray one; its weights are spread over the color planes. An equilibrium takes over the filters
            and the coupling of a one-pass model, which also becomes its start. A mixture takes over filters.
        seed: determines patches, noise and noise levels.
        steps: number of optimizer steps.
        batch_size: number of patches per step, each with its own noise level.
        patch_size: side of the square patches, in pixels.
        noise_range: least and largest noise level, on the scale of images in ``[0, 1]``.
        noise_power: noise levels are ``low + (high - low) u^noise_power`` with uniform ``u``: above 1, low levels are
            more frequent.
        loss: the loss, see `gradprox.training.losses`; for noisy images see `gradprox.training.unsupervised`.
        noise: of the training images if they are noisy: the noise level, or ``"gain:G,read:R"``; ``"auto"`` to estimate
            either from each image. It must be right for ``"sure"``. For ``"neighbor2neighbor"`` it only tells the
            network how much to remove.
        loss_power: squared errors are divided by ``sigma^loss_power``, so that all noise levels weigh alike.
        loss_gamma: width of proximal matching, in noise levels.
        restoration: restore images in a solver in a share of the steps, see `gradprox.training.restoration`; None to
            denoise in all steps. Only for starting from a trained model: it refines what a denoiser has learned.
        tolerance: tolerance of an equilibrium during training, see `Equilibrium.solve`; its own if not given.
        derivative_tolerance: tolerance of its derivatives, see there; 0.01 if not given.
        repeated_batches: number of batches of an equilibrium, patches and noise, that are repeated in turn. Each starts
            from its last solution, which takes fewer iterations and 8 bytes of memory per sample. None: every step has
            new patches.
        precision: precision of the forward pass; weights and their updates stay in single precision.
        learning_rate: Adam's learning rate after the warm-up; it falls to a hundredth along a cosine.
        rate_factors: factors of the learning rate for parameters with a word in their name, for example
            ``mixing = 15``. If a name contains several of the words, the first one counts.
        warmup: number of steps over which the learning rate rises.
        ema: decay of the exponential moving average of the weights, for example 0.999; the average is validated and
            saved. None saves the weights of the last step.
        clip_norm: largest Euclidean norm of the gradient of a step; a longer gradient is scaled down to it. None leaves
            gradients as they are.
        checkpoint_every: steps between checkpoints.
        validate_every: steps between validations.
        validation_levels: noise levels of the validation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    network: ImageNetworkConfig = IdentityPathConfig()
    initial: str = ""
    seed: int = Field(default=0, ge=0)
    steps: int = Field(ge=1)
    batch_size: int = Field(default=8, ge=1)
    patch_size: int = Field(default=80, ge=8)
    noise_range: tuple[float, float] = (1 / 255, 50 / 255)
    noise_power: float = Field(default=1.5, gt=0)
    loss: LossName | UnsupervisedLoss = "mse"
    noise: float | str = ESTIMATED
    loss_power: float = 1.4
    loss_gamma: float = Field(default=0.3, gt=0)
    restoration: RestorationConfig | None = None
    tolerance: float | None = Field(default=None, ge=0, lt=1)
    derivative_tolerance: float | None = Field(default=None, ge=0, lt=1)
    repeated_batches: int | None = Field(default=None, ge=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    learning_rate: float = Field(default=3e-3, gt=0)
    rate_factors: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    warmup: int = Field(default=50, ge=1)
    ema: float | None = Field(default=None, gt=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0)
    checkpoint_every: int = Field(default=200, ge=1)
    validate_every: int = Field(default=1000, ge=1)
    validation_levels: tuple[float, ...] = (5 / 255, 15 / 255, 25 / 255, 50 / 255)

    _ordered = field_validator("noise_range")(_increasing)

    @field_validator("noise")
    @classmethod
    def _is_noise(cls, noise: float | str) -> float | str:
        if isinstance(noise, str) and noise != ESTIMATED:
            parse_signal_noise(noise)
        elif isinstance(noise, float) and not 0 < noise <= 1:
            raise ValueError(f"expected a level above 0 and at most 1, gain:G,read:R or auto, got {noise}")
        return noise

    @model_validator(mode="after")
    def _loss_fits(self) -> Recipe:
        if not is_unsupervised(self.loss):
            return self
        if self.restoration is not None or self.precision != "float32":
            raise ValueError(f"{self.loss}: leave restoration and precision out")
        if self.loss == "sure" and isinstance(self.network, EquilibriumConfig):
            raise ValueError(
                "sure needs second derivatives, which an equilibrium lacks: use neighbor2neighbor"
            )
        if self.loss == "neighbor2neighbor" and (self.patch_size % 2 or self.repeated_batches):
            raise ValueError("neighbor2neighbor needs an even patch_size, and no repeated_batches")
        return self

    @model_validator(mode="after")
    def _kernels_fit_the_patches(self) -> Recipe:
        if self.restoration is not None and self.patch_size < LEAST_RESTORED:
            raise ValueError(f"restoration needs a patch_size of {LEAST_RESTORED} or more")
        return self

    @model_validator(mode="after")
    def _fits_the_network(self) -> Recipe:
        if isinstance(self.network, EquilibriumConfig):
            if self.precision != "float32":
                raise ValueError("an equilibrium cannot be trained in bfloat16: leave precision out")
        elif {self.tolerance, self.derivative_tolerance, self.repeated_batches} != {None}:
            raise ValueError(
                "only an equilibrium has tolerance, derivative_tolerance and repeated_batches: leave them out"
            )
        return self


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file.

    Raises:
        InputError: the file is missing, is not TOML, or is not a recipe.
    """
    path = Path(path)
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file: {error}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "recipe"
        raise InputError(f"{path}: {place}: {problem['msg']}") from error
