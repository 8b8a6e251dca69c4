"""Model files: safetensors with the configuration of the network in the header. Nothing is ever unpickled."""

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
from gradprox.networks import GradientNetwork
from gradprox.networks.denoisers.config import ImageNetwork, build, read_config
from gradprox.networks.family.config import FamilyNetwork, describe, read_family_config, shapes_of

FORMAT = "gradprox-model-1"

Storable = ImageNetwork | FamilyNetwork


def save_network(network: Storable, path: str | Path) -> None:
    """Write a network's configuration and weights to a ``.safetensors`` file, whole or not at all.

    Raises:
        ValueError: the network was changed after its construction, so no configuration describes it.
    """
    with written_whole(path) as temporary:
        temporary.write_bytes(network_bytes(network))


def network_bytes(network: Storable) -> bytes:
    """Return the content of a model file, the same bytes for the same network.

    The header is sorted here, because safetensors orders its metadata by a hash that changes from process to process.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    content = save(weights, metadata={"format": FORMAT} | _description(network))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[end:]


def network_from_bytes(content: bytes, label: str) -> GradientNetwork:
    """Read a network from the bytes of a model file.

    Args:
        content: the bytes.
        label: the name of the file in messages.

    Raises:
        InputError: see `load_network`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        try:
            return load_network(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), label)) from error


def load_network(path: str | Path) -> GradientNetwork:
    """Read a network from a model file.

    It is an `IdentityPath`, an `Equilibrium`, or one of `GradNetC`, `GradNetM` and their monotone forms.

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
                raise InputError(f"not a gradprox model (format {metadata.get('format')!r})")
            shapes = {name: torch.Size(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
            network = _network(metadata, shapes)
            weights = {name: stored.get_tensor(name) for name in shapes}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: its network description is invalid: {_first(error)}") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file: {error}") from error
    if not all(w.is_floating_point() and bool(torch.isfinite(w).all()) for w in weights.values()):
        raise InputError(f"{path}: contains weights that are not finite floating-point numbers")
    # Networks are built in torch's default type, which the caller may have changed.
    network.to(torch.float32 if isinstance(network, ImageNetwork) else next(iter(weights.values())).dtype)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _description(network: Storable) -> dict[str, str]:
    if isinstance(network, ImageNetwork):
        return {"network": network.config.model_dump_json()}
    return {"family": describe(network).model_dump_json()}


def _network(metadata: dict[str, str], shapes: dict[str, torch.Size]) -> Storable:
    """Build the network that metadata describe; refuse it if ``shapes`` are not those of its weights."""
    unfit = InputError("the weights do not fit the network the file describes")
    if "family" not in metadata:
        config = read_config(metadata.get("network", ""))
        # Compared before weights of the claimed sizes are allocated.
        with torch.device("meta"):
            claimed = shapes_of(build(config))
        if claimed != shapes:
            raise unfit
        return build(config)
    family = read_family_config(metadata["family"])
    try:
        if family.shapes() != shapes:
            raise unfit
        return family.build()
    except ValueError as error:
        raise InputError(f"it describes no network: {error}") from error


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'it'}: {problem['msg']}"
