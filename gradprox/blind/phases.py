r"""How sparse the gradients of a photo become when the phases of a blur kernel are undone.

The power spectrum of a photo does not depend on the phases of its blur: a kernel and its mirror image explain it
equally well. So the phases are judged on their own. A filter with the phases of the kernel ``k`` and the same gain
``G`` for all kernels,

    x^ = y^ conj(k^) / |k^| G,      G = |r^| c / (|r^|^2 c + noise^2 |d^|^2),

leaves the same power for all of them, in signal and noise. The gain is that of the Wiener filter of a reference kernel
``r`` for images with white gradients of variance ``c``, and ``d`` is the difference of neighbors. The gradients of
sharp photos are sparse, and wrong phases mix them. With a Laplace density of unknown scale, the logarithm of the
likelihood of ``n`` gradients ``g`` is ``-n log mean |g|``, up to a constant. The normalized sparsity, l1 / l2, is that
of Krishnan, Tay and Fergus (CVPR 2011), who minimize it over restored images, whose power differs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradprox.blind.periodic import difference_responses, differences, periodic_extension, transfer_function

# A response below this has no phase: there the photo is left out.
LEAST_RESPONSE = 1e-7
# The smallest share of the signal in the gradients of the photo.
LEAST_SIGNAL_SHARE = 0.1


def phase_evidence(y: Tensor, kernels: Sequence[Tensor], reference: Tensor, noise: float) -> Tensor:
    """Return the log-likelihood of the phases of kernels, ``(N,)`` of float64, up to a constant; higher is better.

    Args:
        y: a gray photo ``(1, 1, H, W)``.
        kernels: each ``(1, 1, h, w)`` with odd sides.
        reference: the kernel whose response sets the gain of the filter.
        noise: standard deviation of the noise.
    """
    margin = max(side for kernel in (*kernels, reference) for side in kernel.shape[-2:])
    border = margin // 2 + 1
    extended = periodic_extension(y.double(), margin)
    size = (extended.shape[-2], extended.shape[-1])
    power = float(differences(y.double())[..., :-1, :-1].square().mean())
    signal = max(power - 2 * noise**2, LEAST_SIGNAL_SHARE * power) / float(reference.double().square().sum())
    gain = transfer_function(reference.double(), size).abs()
    slopes = difference_responses(extended).abs().square().sum(dim=1, keepdim=True)
    filtered = torch.fft.rfft2(extended) * gain * signal / (gain.square() * signal + noise**2 * slopes)
    found = []
    for kernel in kernels:
        response = transfer_function(kernel.double(), size)
        turned = filtered * response.conj() / response.abs().clamp_min(LEAST_RESPONSE)
        x = torch.fft.irfft2(turned, s=size)[..., : y.shape[-2], : y.shape[-1]]
        gradients = differences(x[..., border:-border, border:-border])[..., :-1, :-1]
        sparsity = gradients.abs().mean() / gradients.square().mean().sqrt()
        found.append(-2 * y.shape[-2] * y.shape[-1] * sparsity.log())
    return torch.stack(found)
