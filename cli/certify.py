"""``gradprox certify``: measure a model against what is proven of it."""

from __future__ import annotations

from typing import Annotated

import typer

from gradprox.cli import options
from gradprox.cli.terminal import console
from gradprox.errors import InputError
from gradprox.files import written_whole

Model = Annotated[str, typer.Argument(help="A shipped model or a .safetensors file.", show_default=False)]
Size = Annotated[
    int, typer.Option(min=4, max=512, help="Pixels a side; up to 32 all eigenvalues are computed.")
]
Points = Annotated[int, typer.Option(min=1, help="Number of test images.")]


def certify(
    model: Model,
    noise: options.Noise = "25/255",
    size: Size = 24,
    points: Points = 2,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = None,
) -> None:
    """Certify a model: symmetry, monotonicity, Lipschitz constant, potential, prox property.

    Exits with 1 if a check fails.

    Example: gradprox certify gray --noise 25/255 --json certificate.json
    """
    level = options.parse_level(noise)

    import torch

    from gradprox.certificates import certify as measure
    from gradprox.zoo import load_model

    place = options.resolve_device(device)
    prior = load_model(model, place)
    channels = prior.network.channels or 1

    if place.type == "mps":
        raise InputError("--device mps: certificates need double precision; use --device cpu")
    generator = torch.Generator().manual_seed(seed)
    # Flat patches with edges and noise between them: every regime of a denoiser in one image.
    blocks = -(-size // 8)
    coarse = torch.rand(points, channels, blocks, blocks, generator=generator, dtype=torch.float64)
    flat = coarse.repeat_interleave(8, dim=-1).repeat_interleave(8, dim=-2)[..., :size, :size]
    grain = torch.randn(flat.shape, generator=generator, dtype=torch.float64)
    certificate = measure(prior.double(), (flat + level * grain).to(place), level, name=prior.name, seed=seed)
    if json is not None:
        with written_whole(json) as temporary:
            temporary.write_text(certificate.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if not quiet:
        console().print(certificate.table(), markup=False)
    if not certificate.passed:
        raise InputError(f"{prior.name}: {'; '.join(certificate.failures)}")
