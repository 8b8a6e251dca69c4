r"""How far rounding may move an objective: the bound beyond which a rise counts as a rise.

All bounds are first-order bounds with a second-order term, in the unit roundoff ``eps`` of the image's type.

**Operators.** A Fourier transform of ``n`` numbers has a relative error in the 2-norm that grows with ``log n`` in the
worst case (Higham, *Accuracy and Stability of Numerical Algorithms*, section 24.1) and with its square root on average
(Schatzman, SIAM J. Sci. Comput. 1996). Pairwise and blocked sums, hence matrix products, grow in the same way (Higham,
section 4.2; Higham and Mary, SIAM J. Sci. Comput. 2019). So a linear operator of norm ``|A|`` has an error of at most
``k eps |A| |x|`` with ``k = 2 sqrt(log2(2 n))``. The largest factor measured in single precision, over blurs with every
boundary, Hadamard and block sensing, and flat, random and black images of up to 16384 pixels, is a tenth of that.

**Least squares.** The residual ``r = A x - y`` cancels where the fit is good, but its error does not: it is at most
``rho = k eps (|A| |x| + |y|)``. Hence ``f = |r|^2/2`` has an error of at most ``|r| rho + rho^2/2``, besides
that of its sum. The second term is the bound that remains for a perfect fit.

**Energies.** ``grad R = x - D(x)``, and ``R`` has curvature at most 1 for a monotone ``D``. An error of the filters by
``zeta = k eps |x|`` thus moves ``R`` by at most ``|x - D(x)| zeta + zeta^2/2``. The energy is a difference of two sums
of size ``|x|^2/2``, and its mixtures subtract logarithms on the scale ``sigma^2`` per pixel. Both leave ``eps`` times
their size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradprox.priors.contract import Sigma

# Measured errors are at most 0.7 where this factor gives 6 (n = 256).
GROWTH = 2.0
# Errors of summing squares that are themselves rounded.
SUM = 4.0
# Measured over the shipped networks: at most a quarter of the square, at most 5 units of the energy itself.
ENERGY = 8.0
SQUARE = 1.0


def norm(x: Tensor) -> Tensor:
    """Return ``|x|`` of each image, ``(B,)``."""
    return torch.linalg.vector_norm(x.flatten(1), dim=1)


def operator_factor(x: Tensor) -> Tensor:
    """Return ``k eps``, a scalar: the relative error of a linear operator applied to the images ``x``."""
    # A tensor, because exporters trace this with sizes that are not numbers.
    size = torch.full((), 2 * x[0].numel(), dtype=x.dtype, device=x.device)
    return GROWTH * size.log2().sqrt() * torch.finfo(x.dtype).eps


def square_rounding(value: Tensor, length: Tensor, shift: Tensor, like: Tensor) -> Tensor:
    """Bound the error of ``value = |r|^2/2``, where ``|r| = length`` is known up to ``shift``; all ``(B,)``."""
    return length * shift + shift.square() / 2 + SUM * torch.finfo(like.dtype).eps * value


def energy_rounding(x: Tensor, change: Tensor, energy: Tensor, sigma: Sigma) -> Tensor:
    """Bound the error of ``energy = R(x)``, ``(B,)``, where ``change = x - D(x)``."""
    size = norm(x).to(energy)
    shift = operator_factor(x) * size
    terms = ENERGY * energy.abs() + SQUARE * size.square() + sigma**2 * x[0].numel()
    return norm(change).to(energy) * shift + shift.square() / 2 + torch.finfo(x.dtype).eps * terms
