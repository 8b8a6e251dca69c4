"""Model files: safetensors whose header says which network the weights belong to. Nothing is ever unpickled."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.networks import IdentityPath, IdentityPathConfig

FORMAT = "gradprox-model-1"


def save_network(network: IdentityPath, path: str | Path) -> None:
    """Write a network's configuration and weights to a ``.safetensors`` file, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_bytes(network_bytes(network))


def network_bytes(network: IdentityPath) -> bytes:
    """Return what `save_network` writes, the same bytes for the same network.

    safetensors orders the metadata in its header by a hash that changes from process to process.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    content = save(weights, metadata={"format": FORMAT, "network": network.config.model_dump_json()})
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def network_from_bytes(content: bytes, label: str) -> IdentityPath:
    """Read a network from the bytes of a model file; messages call it ``label``.

    Raises:
        InputError: as `load_network`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        try:
            return load_network(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), label)) from error


def load_network(path: str | Path) -> IdentityPath:
    """Read a network from a model file.

    Raises:
        InputError: the file is missing, truncated, not a gradprox model, of another version, or its weights do
            not fit its configuration.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path}: not a gradprox model (format {metadata.get('format')!r})")
            network = IdentityPath(IdentityPathConfig.model_validate_json(metadata.get("network", "")))
            expected = network.state_dict()
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
            if shapes != {name: tuple(value.shape) for name, value in expected.items()}:
                raise InputError(f"{path}: the weights do not fit the network the file describes")
            weights = {name: stored.get_tensor(name) for name in expected}
    except ValidationError as error:
        raise InputError(f"{path}: its network description is invalid: {_first(error)}") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file: {error}") from error
    if not all(w.is_floating_point() and bool(torch.isfinite(w).all()) for w in weights.values()):
        raise InputError(f"{path}: contains weights that are not finite floating-point numbers")
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}"
