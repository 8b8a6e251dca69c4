"""Verifying a file by itself: its stored report is not believed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import onnx

from gradprox.export.denoiser_check import examine_denoiser
from gradprox.export.equilibrium_check import examine_equilibrium
from gradprox.export.precision import CERTIFIED
from gradprox.export.problem import problem_in
from gradprox.export.report import Report, VerificationError
from gradprox.export.runtime import container
from gradprox.export.solver_check import examine_solver
from gradprox.networks import Equilibrium, IdentityPath
from gradprox.operators.onnx_weights import network_from_metadata


def verify(path: str | Path) -> Report:
    """Verify a file; nothing else is needed.

    The reference is the torch network that the configuration and the weights in the file describe. That they are
    *your* weights, their SHA-256 tells (`gradprox.operators.onnx_weights.weights_metadata`). A file that says that it
    is not certified is verified to be what it says: as near to its network as its precision allows.

    Raises:
        InputError: the file is no gradprox export (see `gradprox.export.runtime.container.read`).
        VerificationError: it is one, and is not what it should be.
    """
    content, metadata = container.read(path)
    network = network_from_metadata(metadata, str(path))
    model = onnx.load_model_from_string(content)
    try:
        if metadata.get("kind") == "denoiser":
            precision = metadata.get("precision", "float32")
            if metadata.get("certified", "true") != json.dumps(precision in CERTIFIED):
                raise VerificationError(f"says that {precision} is certified, or that it is not")
            if isinstance(network, Equilibrium):
                network.tolerance = _tolerance(metadata)
                return examine_equilibrium(model, content, network)
            return examine_denoiser(model, content, network, precision)
        if metadata.get("kind") == "solver" and isinstance(network, IdentityPath):
            problem = problem_in(metadata, model, str(path))
            return examine_solver(model, content, network, metadata.get("algorithm", ""), problem)
    except VerificationError as error:
        raise VerificationError(f"{path}: {error}") from error
    raise VerificationError(f"{path}: holds a {metadata.get('kind')!r}, which this gradprox does not know")


def _tolerance(metadata: Mapping[str, str]) -> float:
    """Return the tolerance that an equilibrium states, or raise `VerificationError`."""
    try:
        tolerance = float(metadata["tolerance"])
    except (KeyError, ValueError) as error:
        raise VerificationError("does not say to which tolerance it iterates") from error
    if not 0 <= tolerance < math.inf:
        raise VerificationError(f"says that its tolerance is {tolerance}")
    return tolerance
