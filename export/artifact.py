"""What an exported file says of itself, and how it is written and read back."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import onnx
from onnx import ModelProto

from gradprox._version import __version__
from gradprox.errors import InputError
from gradprox.export.graph.precision import CERTIFIED
from gradprox.export.graph.tracing import OPSET
from gradprox.export.runtime import container
from gradprox.files import written_whole
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import LearnedProx
from gradprox.priors.onnx_weights import weights_metadata


def resolve(model: str | Path | LearnedProx) -> tuple[LearnedProx, ImageNetwork]:
    """Return a copy of a model on the CPU, in single precision, that export may do with as it likes; and its network.

    Raises:
        InputError: there is no such model, or its architecture cannot be exported.
    """
    from gradprox.zoo import load_model

    prior = model if isinstance(model, LearnedProx) else load_model(model)
    if not isinstance(prior.network, ImageNetwork):
        raise InputError(f"{prior.name}: {type(prior.network).__name__} networks cannot be exported")
    network = copy.deepcopy(prior.network).cpu().float().eval().requires_grad_(False)
    return LearnedProx(network, prior.name), network


def describe(
    prior: LearnedProx, network: ImageNetwork, kind: str, precision: str = "float32"
) -> dict[str, str]:
    """Return the metadata of an export of ``prior`` and its ``network``, but for the report of its verification.

    Every value is a string; those that are not plain text are JSON.
    """
    levels, certified = network.config.noise_levels, precision in CERTIFIED
    certificate = {
        "symmetric": True,
        "monotone": network.monotone,
        "lipschitz_bound": prior.lipschitz_bound(),
        "weak_convexity": prior.weak_convexity(),
    }
    return {
        "format": f"{container.FORMAT_NAME}-{container.FORMAT_VERSION}",
        "kind": kind,
        "version": __version__,
        "name": prior.name,
        **weights_metadata(network),
        "channels": json.dumps(network.channels),
        "halo": json.dumps(network.radius),
        "size_multiple": "1",
        "value_range": "made for [0, 1]; others work and nothing is clipped",
        "noise_range": json.dumps([levels[0], levels[-1]]),
        "opset": str(OPSET),
        "precision": precision,
        "certified": json.dumps(certified),
        "certificate": json.dumps(certificate if certified else None),
    }


def serialize(model: ModelProto, metadata: dict[str, str]) -> bytes:
    """Return the bytes of a file: the same for the same model and metadata."""
    complete = ModelProto()
    complete.CopyFrom(model)
    onnx.helper.set_model_props(
        complete, {container.PREFIX + key: value for key, value in sorted(metadata.items())}
    )
    return container.seal(complete.SerializeToString(deterministic=True))


def write(content: bytes, path: str | Path) -> None:
    """Write a file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
