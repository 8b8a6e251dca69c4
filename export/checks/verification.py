"""Verification of a file by itself; the report that it holds is not trusted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from gradprox.errors import InputError
from gradprox.export import onnx_file
from gradprox.export.checks.denoiser_check import examine_denoiser
from gradprox.export.checks.equilibrium_check import examine_equilibrium
from gradprox.export.checks.preset_check import examine_preset
from gradprox.export.checks.report import Progress, Report, VerificationError, demand, silent
from gradprox.export.graph.problem import problem_in
from gradprox.export.graph.recipe import recipe_in
from gradprox.export.runtime import container
from gradprox.export.runtime.solver_settings import PROXIMAL
from gradprox.networks import Equilibrium
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors.onnx_weights import network_from_metadata


def verify(path: str | Path, progress: Progress = silent) -> Report:
    """Verify a file.

    The reference is the torch network that the configuration and the weights in the file describe. The SHA-256 of the
    weights (`gradprox.priors.onnx_weights.weights_metadata`) identifies them.

    Args:
        path: the file.
        progress: called with what is being done, in words.

    Raises:
        InputError: the file is no gradprox export (see `gradprox.export.runtime.container.read`).
        VerificationError: it is one, but not the function that it states.
    """
    content, metadata = container.read(path)
    network = network_from_metadata(metadata, str(path))
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise InputError(f"{path}: not an ONNX file, or a truncated or damaged one") from error
    try:
        return _examine(model, content, metadata, network, str(path), progress)
    except VerificationError as error:
        raise VerificationError(f"{path}: {error}") from error


def _examine(
    model: ModelProto,
    content: bytes,
    metadata: dict[str, str],
    network: ImageNetwork,
    label: str,
    progress: Progress,
) -> Report:
    kind, precision = metadata.get("kind", ""), metadata.get("precision", "float32")
    demand(kind in ("denoiser", "solver"), f"holds a {kind!r}, which this version of gradprox does not know")
    demand(precision in container.PRECISIONS, f"its precision is {precision!r}")
    _check_entries(metadata, onnx_file.metadata_of(network, "", kind, precision))
    if kind == "solver":
        if isinstance(network, Equilibrium):
            raise VerificationError("holds a solver around an equilibrium, which is never exported")
        problem, algorithm = problem_in(metadata, model, label), metadata.get("algorithm", "")
        recipe = recipe_in(metadata, problem, label)
        demand(recipe.solver == algorithm, f"holds a preset of {recipe.solver} and says {algorithm}")
        demand(
            network.monotone or not {algorithm, recipe.warm_solver} & {*PROXIMAL},
            f"{algorithm} needs a model that is a proximal operator",
        )
        return examine_preset(model, content, network, recipe, problem, progress)
    if not isinstance(network, Equilibrium):
        return examine_denoiser(model, content, network, precision, progress)
    demand(precision == "float32", f"its precision is {precision}, too coarse for its iterations")
    return examine_equilibrium(model, content, network, progress)


def _check_entries(metadata: dict[str, str], expected: dict[str, str]) -> None:
    """Raise `VerificationError` unless the metadata on the network are true."""
    # Files of earlier versions do not state the cell.
    cell = ["cell"] if "cell" in metadata else []
    for key in ("channels", "halo", *cell, "noise_range", "certificate"):
        try:
            said = json.loads(metadata[key])
        except (KeyError, ValueError) as error:
            raise VerificationError(f"its metadata lacks a readable {key!r}") from error
        true = json.loads(expected[key])
        demand(_alike(said, true), f"it says {key}: {said}; true is {true}")


def _alike(said: Any, true: Any) -> bool:
    """Compare JSON values; numbers may differ by rounding, as another machine may have computed them."""
    if isinstance(true, dict) and isinstance(said, dict):
        return said.keys() == true.keys() and all(_alike(said[key], true[key]) for key in true)
    if isinstance(true, list) and isinstance(said, list):
        return len(said) == len(true) and all(map(_alike, said, true))
    if type(said) is type(true) is float:
        return math.isclose(said, true, rel_tol=1e-5, abs_tol=1e-9)
    return type(said) is type(true) and bool(said == true)
