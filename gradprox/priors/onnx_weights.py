"""The model file inside an exported ONNX file, from which the torch network is rebuilt exactly."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

from gradprox.errors import InputError
from gradprox.networks import Equilibrium
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors.model_file import network_bytes, network_from_bytes

# Prefix of our keys in the metadata of an ONNX file, so that they do not collide with those of other tools.
PREFIX = "gradprox."


def weights_metadata(network: ImageNetwork) -> dict[str, str]:
    """Return the metadata entries, without their prefix, that carry a network."""
    weights = network_bytes(network)
    return {
        "network": network.config.model_dump_json(),
        "weights": base64.b64encode(weights).decode(),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        **({"tolerance": json.dumps(network.tolerance)} if isinstance(network, Equilibrium) else {}),
    }


def network_from_metadata(metadata: Mapping[str, str], label: str) -> ImageNetwork:
    """Rebuild the network in the metadata of an exported file.

    Args:
        metadata: entries without their prefix.
        label: the name of the file in messages.

    Raises:
        InputError: the metadata contain no network, or a damaged one.
    """
    if "weights" not in metadata:
        raise InputError(f"{label}: contains no weights: not a model exported by gradprox")
    try:
        weights = base64.b64decode(metadata["weights"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{label}: its weights are damaged") from error
    if hashlib.sha256(weights).hexdigest() != metadata.get("weights_sha256"):
        raise InputError(f"{label}: its weights do not match their checksum")
    network = network_from_bytes(weights, f"{label} (its weights)")
    if not isinstance(network, ImageNetwork):
        raise InputError(f"{label}: contains a {type(network).__name__}, which is never exported")
    if isinstance(network, Equilibrium):
        network.tolerance = _tolerance(metadata, label)
    return network


def _tolerance(metadata: Mapping[str, str], label: str) -> float:
    """Return the tolerance of the iterations in a file, or raise `InputError`."""
    try:
        tolerance = float(metadata["tolerance"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{label}: does not contain the tolerance of its iterations") from error
    if not 0 <= tolerance < math.inf:
        raise InputError(f"{label}: its tolerance is {tolerance}, and must be finite and not negative")
    return tolerance


def load_network_from_onnx(path: str | Path) -> ImageNetwork:
    """Read the network from which an ONNX file was exported. The graph in the file is not read.

    Raises:
        InputError: the file is missing, is not ONNX, or contains no network.
    """
    import onnx
    from google.protobuf.message import DecodeError

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as error:
        raise InputError(f"{path}: not an ONNX file, or a truncated or damaged one") from error
    entries = {entry.key.removeprefix(PREFIX): entry.value for entry in model.metadata_props}
    return network_from_metadata(entries, str(path))
