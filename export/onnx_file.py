"""The contents of an exported file: the model, its metadata, and the network that both describe."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import onnx
from onnx import ModelProto

from gradprox._version import __version__
from gradprox.errors import InputError
from gradprox.export.graph.tracing import OPSET
from gradprox.export.runtime import container
from gradprox.files import written_whole
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import LearnedProx, NetworkPrior
from gradprox.priors.onnx_weights import weights_metadata


def exportable_network(model: str | Path | NetworkPrior) -> tuple[ImageNetwork, str]:
    """Return a copy of the network of a model, on the CPU and in single precision, and the name of the model.

    Args:
        model: the name of a shipped model, a model file, or a model.

    Raises:
        InputError: there is no such model, or its architecture cannot be exported.
    """
    from gradprox.zoo import load_model

    prior = model if isinstance(model, NetworkPrior) else load_model(model)
    if not isinstance(prior.network, ImageNetwork):
        raise InputError(f"{prior.name}: {type(prior.network).__name__} networks cannot be exported")
    network = copy.deepcopy(prior.network).cpu().float().eval().requires_grad_(False)
    return network, prior.name


def metadata_of(network: ImageNetwork, name: str, kind: str, precision: str = "float32") -> dict[str, str]:
    """Return the metadata of an export, apart from the report of its verification.

    Args:
        network: the network.
        name: the name of the model.
        kind: ``"denoiser"`` or ``"solver"``.
        precision: one of `gradprox.export.runtime.container.PRECISIONS`.

    Returns:
        Strings by key; those that are not plain text are JSON.
    """
    levels = network.config.noise_levels
    return {
        "format": f"{container.FORMAT_NAME}-{container.FORMAT_VERSION}",
        "kind": kind,
        "version": __version__,
        "name": name,
        **weights_metadata(network),
        "channels": json.dumps(network.channels),
        "halo": json.dumps(network.radius),
        "cell": json.dumps(network.cell),
        "size_multiple": "1",
        "value_range": "made for [0, 1]; other values are legal, and nothing is clipped",
        "noise_range": json.dumps([levels[0], levels[-1]]),
        "opset": str(OPSET),
        "precision": precision,
        "certificate": json.dumps(_certificate(network)),
    }


def _certificate(network: ImageNetwork) -> dict[str, object]:
    """Return the facts that hold for every weight of the architecture; a bound is None where none is proven."""
    bound = network.lipschitz_bound()
    return {
        "symmetric": True,
        "monotone": network.monotone,
        "lipschitz_bound": bound if math.isfinite(bound) else None,
        "weak_convexity": LearnedProx(network).weak_convexity() if network.monotone else None,
    }


# Descriptions of inputs and outputs, by name; viewers of ONNX files show them.
DESCRIPTIONS = {
    "y": "noisy or blurred images (batch, channels, height, width) on the scale where white is 1, or measurements",
    "sigma": "noise level that the model assumes, where white is 1",
    "kernel": "blur kernel (1, 1, height, width), which sums to 1",
    "noise": "standard deviation of the noise of y, where white is 1; the settings of the preset follow from it",
    "strength": "multiplier of the strength of the prior: 1 is the preset, larger values smooth more",
    "tol": "an image has converged when its relative change is at most this",
    "max_iter": "largest number of steps, after the warm start of a preset",
    "x0": "first images of the iterations, in the shape of x; may be left out",
    "clipping": "whether black and white pixels of y may have been clipped; false if left out",
    "x": "restored images",
    "potential": "convex function whose gradient is x, per image",
    "arrived": "whether the iterations of each image have reached their tolerance",
    "objective": "objective before the first and after each step, per image",
    "residuals": "relative change of each step, per image",
    "steps": "steps taken, per image",
    "status": "0: all steps taken, 1: converged, 2: NaN or infinite values, 3: no step descends, per image",
}


def serialize(model: ModelProto, metadata: dict[str, str]) -> bytes:
    """Return the bytes of a file. They are the same for the same model and metadata."""
    complete = ModelProto()
    complete.CopyFrom(model)
    for value in (*complete.graph.input, *complete.graph.output):
        value.doc_string = DESCRIPTIONS.get(value.name, "")
    onnx.helper.set_model_props(
        complete, {container.PREFIX + key: value for key, value in sorted(metadata.items())}
    )
    return container.seal(complete.SerializeToString(deterministic=True))


def write(content: bytes, path: str | Path) -> None:
    """Write a file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content)
