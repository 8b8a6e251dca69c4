"""``gradprox certify``: measure the properties that are proven of a model."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gradprox.cli import option_values, options
from gradprox.cli.groups import Report
from gradprox.cli.model_choice import Device, check_model, complete_models, resolve_device
from gradprox.errors import InputError

Model = Annotated[
    str,
    typer.Argument(
        help="A shipped model, or a .safetensors or .onnx file.",
        show_default=False,
        autocompletion=complete_models,
    ),
]
Size = Annotated[
    int,
    typer.Option(
        min=4,
        max=512,
        metavar="PIXELS",
        help="Side of the test images. Up to 32, all eigenvalues of the Jacobian are computed.",
    ),
]
Points = Annotated[int, typer.Option(min=1, metavar="COUNT", help="Number of test images.")]


def certify(
    model: Model,
    noise: options.Noise = "25/255",
    size: Size = 24,
    points: Points = 2,
    seed: options.Seed = 0,
    device: Device = "auto",
    *,
    report: Report,
) -> None:
    """Check that a model is a proximal operator.

    The checks use random images and double precision. The Jacobian must be symmetric and, for a proximal operator,
    must have no negative eigenvalue. The measured Lipschitz constant must not exceed the proven bound. The model must
    be the gradient of its potential, and no random competitor may have a smaller prox objective. The exit code is 1 if
    a check fails.

    Example:
      gradprox certify gray --noise 25/255 --json certificate.json
    """
    level = option_values.parse_level(noise)
    check_model(model)

    import torch

    from gradprox.certificates import certify as measure
    from gradprox.zoo import load_model

    place = resolve_device(device)
    if place.type == "mps":
        raise InputError("--device mps: certificates need double precision; use --device cpu")
    prior = load_model(model, place)
    channels = prior.network.channels or 1
    generator = torch.Generator().manual_seed(seed)
    # Flat patches, edges between them, and noise: every regime of a denoiser in one image.
    blocks = -(-size // 8)
    coarse = torch.rand(points, channels, blocks, blocks, generator=generator, dtype=torch.float64)
    flat = coarse.repeat_interleave(8, dim=-1).repeat_interleave(8, dim=-2)[..., :size, :size]
    grain = torch.randn(flat.shape, generator=generator, dtype=torch.float64)
    certificate = measure(prior.double(), (flat + level * grain).to(place), level, name=prior.name, seed=seed)
    report.write(json.loads(certificate.model_dump_json()))
    report.print(certificate.table(), markup=False)
    if not certificate.passed:
        raise InputError(f"{prior.name}: {'; '.join(certificate.failures)}")
