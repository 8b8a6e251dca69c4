"""The one contract every gradient network keeps (arXiv 2404.07361, section 2)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gradprox.batch import image_sum


class GradientNetwork(nn.Module, ABC):
    r"""A map that is the gradient of a scalar potential, ``forward(x) = grad Phi(x)``.

    ``forward`` is written out by hand and uses no automatic differentiation, so it exports and it stays cheap.

    Attributes:
        monotone: whether the Jacobian is positive semidefinite for *every* value of the weights: a fact of the
            architecture, known when it is built, not of a training run.
        channels: of the images ``(B, channels, H, W)`` it takes; None if the network fits other shapes.
        commutes_with_flips: whether flipping the input up-down or left-right flips the output, for every value of the
            weights. Training flips patches for other networks only.
    """

    monotone: bool
    channels: int | None
    commutes_with_flips = False

    @property
    def radius(self) -> int | None:
        """How many pixels away an input can change an output; None if nothing is known of it."""
        return None

    def export_form(self) -> GradientNetwork:
        """Return a network that computes the same function, in a form that exporters can trace.

        It shares the weights. It takes images whole, as tiles would be unrolled for one image size, and what
        depends on the weights alone is a constant. A network whose own form is such returns itself.
        """
        return self

    def float32_boundary(self) -> nn.Module | None:
        """Return the submodule whose output lies in ``[0, 1]`` and ends the part that must stay in float32.

        All that leads from the noise level to this output exceeds the range or the accuracy of float16. What follows
        from it bears low precision. None: nothing is known, and the network is computed in float32 as a whole.
        """
        return None

    @abstractmethod
    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``grad Phi(x)``.

        Args:
            x: images ``(B, C, H, W)``.
            sigma: noise levels, ``(1,)`` or ``(B,)``, in the units of ``x``.
        """

    @abstractmethod
    def potential(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Return ``Phi(x)`` of each image, ``(B,)``, in closed form."""

    @abstractmethod
    def lipschitz_bound(self) -> float:
        """Return a proven upper bound of the Lipschitz constant of ``forward``, for every noise level."""

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return ``|x|^2/2 - Phi(x)``, ``(B,)``, together with ``forward(x)``.

        For a monotone network the first is the Moreau envelope of the function whose prox the network is.
        A subclass overrides this when it can share work, or can avoid the cancellation of two large numbers.
        """
        return image_sum(x * x) / 2 - self.potential(x, sigma), self(x, sigma)
