"""Model files: what is written is read; what is damaged or foreign is refused in one line."""

from __future__ import annotations

import contextlib
import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import save_file

from gradprox import InputError, load_model
from gradprox.networks import EnergyGatedConfig, IdentityPathConfig
from gradprox.priors import load_network, save_network
from gradprox.priors.model_file import FORMAT


@pytest.fixture
def model_file(tmp_path, make_network):
    path = tmp_path / "model.safetensors"
    save_network(make_network().float(), path)
    return path


def test_a_network_comes_back_bit_for_bit(tmp_path, make_network):
    network = make_network("ridge", terms=3).float()
    save_network(network, tmp_path / "m.safetensors")
    again = load_network(tmp_path / "m.safetensors")
    assert again.config == network.config
    x = torch.rand(1, 1, 9, 7)
    assert torch.equal(again(x, torch.tensor([0.1])), network(x, torch.tensor([0.1])))
    assert not any(p.requires_grad for p in again.parameters())
    assert list(tmp_path.iterdir()) == [tmp_path / "m.safetensors"]


@pytest.fixture
def double_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["gray-small", "gray-equilibrium"])
def test_a_model_does_not_follow_the_default_type_of_torch(name, request):
    y = torch.rand(1, 1, 16, 15, generator=torch.Generator().manual_seed(0))
    expected = load_model(name).denoise_with_energy(y, 0.1)
    request.getfixturevalue("double_by_default")
    model = load_model(name)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}
    for found, value in zip(model.denoise_with_energy(y, 0.1), expected, strict=True):
        assert torch.equal(found, value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(model_file, share):
    content = model_file.read_bytes()
    model_file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_model(model_file)


def test_mutated_files_load_or_are_refused(model_file):
    content = model_file.read_bytes()
    generator = torch.Generator().manual_seed(1)
    for _ in range(300):
        mutated = bytearray(content)
        for position in torch.randint(len(content) // 8, (3,), generator=generator).tolist():
            mutated[position] = int(torch.randint(256, (), generator=generator))
        model_file.write_bytes(bytes(mutated))
        with contextlib.suppress(InputError):  # anything else fails the test
            load_network(model_file)


def test_a_pickle_is_refused_and_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError):
        load_model(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not a gradprox model"),
        ({"format": "gradprox-model-99"}, "not a gradprox model"),
        ({"format": FORMAT}, "description is invalid"),
        ({"format": FORMAT, "network": '{"kernel_size": 31}'}, "kernel_size"),
        ({"format": FORMAT, "network": '{"kernel_size": 4}'}, "do not fit"),
        ({"format": FORMAT, "network": '{"noise_levels": [0.2, 0.1]}'}, "noise"),
        ({"format": FORMAT, "network": '{"shrinkage": {"kind": "energy-gated", "window": 4}}'}, "window"),
        ({"format": FORMAT, "network": '{"kernel_size": 4, "pairs": 9}'}, "pairs"),
        ({"format": FORMAT, "network": '{"kind": "equilibrium"}'}, "do not fit"),
        ({"format": FORMAT, "network": '{"kind": "nonsense"}'}, "invalid"),
        ({"format": FORMAT, "network": "[1]"}, "invalid"),
    ],
)
def test_foreign_files_are_refused(tmp_path, metadata, message):
    save_file({"w": torch.zeros(3)}, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "x.safetensors")


def test_what_a_file_claims_is_not_built_before_its_weights_are_seen(tmp_path, monkeypatch):
    claim = IdentityPathConfig(
        kernel_size=32,
        pairs=512,
        channels=3,
        shrinkage=EnergyGatedConfig(window=31),
        noise_levels=tuple(range(1, 65)),
    )
    save_file(
        {"w": torch.zeros(3)},
        tmp_path / "x.safetensors",
        metadata={"format": FORMAT, "network": claim.model_dump_json()},
    )
    sizes = []
    genuine = torch.nn.Parameter.__new__

    def watched(cls, data=None, requires_grad=True):
        sizes.append(0 if data.is_meta else data.numel())
        return genuine(cls, data, requires_grad)

    monkeypatch.setattr(torch.nn.Parameter, "__new__", watched)
    with pytest.raises(InputError, match="do not fit"):
        load_model(tmp_path / "x.safetensors")
    assert sizes
    assert max(sizes) == 0


def test_weights_that_are_not_finite_are_refused(model_file):
    content = bytearray(model_file.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    start = 8 + length + header["bank.weight"]["data_offsets"][0]
    content[start : start + 4] = struct.pack("<f", float("nan"))
    model_file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="not finite"):
        load_model(model_file)


def test_missing_models_are_named():
    with pytest.raises(InputError, match="no such model file"):
        load_model("nowhere.safetensors")
    with pytest.raises(InputError, match="nobody is unknown"):
        load_model("nobody")
