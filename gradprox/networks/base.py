"""The contract of all gradient networks (arXiv 2404.07361, section 2)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gradprox.batch import image_sum


class GradientNetwork(nn.Module, ABC):
    r"""A map that is the gradient of a scalar potential, ``forward(x) = grad Phi(x)``.

    The Jacobian is symmetric for all weights. ``forward`` is written out without automatic differentiation, so it can
    be exported and costs one pass.

    Attributes:
        monotone: whether the Jacobian is positive semidefinite for *all* weights. This is a property of the
            architecture, not of the trained weights. A monotone network is the prox of some function.
        channels: number of channels of its images ``(B, channels, H, W)``; None if it takes other shapes.
        commutes_with_flips: whether flipping the input up-down or left-right flips the output, for *all* weights.
            Training flips patches only for networks that do not commute with flips.
        tolerates_bfloat16: whether convolutions in bfloat16 (`torch.autocast`) change the output by far less than the
            noise that it removes.
        tile_size: largest side in pixels of the tiles of an image, in networks that compute tile by tile; None for
            the network's own choice. Results are the same; smaller tiles take less memory and more time.
    """

    monotone: bool
    channels: int | None
    commutes_with_flips = False
    tolerates_bfloat16 = False
    tile_size: int | None = None

    @property
    def cell(self) -> int:
        """Side in pixels of the cells into which the network divides an image: 1 unless it has coarse scales."""
        return 1

    @property
    def noise_range(self) -> tuple[float, float] | None:
        """The least and the largest noise level of the training; None if unknown, or without noise conditioning."""
        return None

    @property
    def radius(self) -> int | None:
        """The largest distance in pixels at which an input changes an output; None if it is unknown."""
        return None

    def export_form(self) -> GradientNetwork:
        """Return a network that computes the same function, in a form that exporters can trace.

        The result shares the weights. It processes images in one piece, because tracing would unroll tiles for one
        image size. Tensors that depend on the weights alone are constants. A network that needs no other form
        returns itself, as by default.
        """
        return self

    def float32_boundary(self) -> nn.Module | None:
        """Return the submodule at whose output the part that needs float32 ends, or None if the whole network does.

        The computations from the noise level up to this output exceed the range or the accuracy of float16. The output
        lies in ``[0, 1]``, and all computations after it tolerate float16.
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
        """Return ``Phi(x)`` per image, ``(B,)``; arguments as in `forward`."""

    @abstractmethod
    def lipschitz_bound(self) -> float:
        """Return a proven upper bound of the Lipschitz constant of ``forward`` for all noise levels.

        It is infinite where no bound is known.
        """

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the energy ``R(x) = |x|^2/2 - Phi(x)``, ``(B,)``, and ``forward(x)``.

        If the network is monotone, it is the prox of a function, and ``R`` is the Moreau envelope of that function.
        Subclasses override this method to share work, or to avoid the cancellation of two large numbers.
        """
        return image_sum(x * x) / 2 - self.potential(x, sigma), self(x, sigma)
