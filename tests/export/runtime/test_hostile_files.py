"""Files of others, and damaged files: refused in one line, before ONNX Runtime reads them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from gradprox.errors import InputError
from gradprox.export import verify
from gradprox.export.runtime import OnnxDenoiser, container
from tests.export.tampering import say, tampered


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        OnnxDenoiser(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def foreign_model() -> ModelProto:
    value = helper.make_tensor_value_info("v", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("w", TensorProto.FLOAT, [1])
    weight = numpy_helper.from_array(np.ones(1, np.float32), "one")
    graph = helper.make_graph([helper.make_node("Add", ["v", "one"], ["w"])], "g", [value], [out], [weight])
    return helper.make_model(graph)


def test_truncated_anywhere(denoiser_file: Path, tmp_path: Path) -> None:
    content = denoiser_file.read_bytes()
    lengths = {
        0,
        1,
        2,
        10,
        len(content) - 1,
        len(content) - 90,
        *range(50, len(content), len(content) // 100),
    }
    path = tmp_path / "short.onnx"
    for length in lengths:
        path.write_bytes(content[:length])
        refusal(path)


def test_changed_anywhere(denoiser_file: Path, tmp_path: Path) -> None:
    content, chance = denoiser_file.read_bytes(), random.Random(0)  # noqa: S311
    path = tmp_path / "changed.onnx"
    for _ in range(200):
        mutated = bytearray(content)
        mutated[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(mutated)
        refusal(path)
        with pytest.raises(InputError):
            verify(path)


@pytest.mark.parametrize("size", [0, 1, 7, 100, 5000])
def test_random_bytes(size: int, tmp_path: Path) -> None:
    path = tmp_path / "noise.onnx"
    for seed in range(20):
        path.write_bytes(random.Random(seed).randbytes(size))  # noqa: S311
        refusal(path)


def test_a_bomb_of_nested_messages(tmp_path: Path) -> None:
    message = b""
    for _ in range(20000):
        if len(message) > 100000:
            break
        for tag in (0x32, 0x2A, 0x0A):  # graph in attribute in node
            length, size = len(message), b""
            while length > 127:
                size, length = size + bytes([length & 127 | 128]), length >> 7
            message = bytes([tag]) + size + bytes([length]) + message
    path = tmp_path / "nested.onnx"
    path.write_bytes(b"\x3a" + b"\xff\xff\x7f" + message)
    refusal(path)


def test_other_peoples_onnx(tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    onnx.save(foreign_model(), path)
    assert "not a model exported by gradprox" in refusal(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "no such model file" in refusal(tmp_path / "none.onnx")
    assert "no such model file" in refusal(tmp_path)


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "beside.bin"])
def test_external_data(denoiser_file: Path, tmp_path: Path, location: str) -> None:
    def change(model: ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    assert "tensors in other files" in refusal(tampered(denoiser_file, tmp_path / "out.onnx", change))


def test_external_data_in_an_attribute_of_a_subgraph(denoiser_file: Path, tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1])
        tensor.external_data.add(key="location", value="x.bin")
        inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], [])
        model.graph.node.append(helper.make_node("If", ["b"], ["c2"], then_branch=inner, else_branch=inner))

    assert "tensors in other files" in refusal(tampered(denoiser_file, tmp_path / "out.onnx", change))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gradprox-onnx-2", "update gradprox"),
        ("gradprox-onnx-0", "export the model again"),
        ("gradprox-onnx-x", "not a model exported by gradprox"),
        ("", "not a model exported by gradprox"),
    ],
)
def test_other_versions(denoiser_file: Path, tmp_path: Path, name: str, message: str) -> None:
    def change(model: ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == "gradprox.format":
                entry.value = name

    assert message in refusal(tampered(denoiser_file, tmp_path / "other.onnx", change))


def test_a_valid_checksum_does_not_make_a_model(denoiser_file: Path, tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        model.graph.node[0].op_type = "NoSuchOperator"

    path = tampered(denoiser_file, tmp_path / "broken.onnx", change)
    assert "cannot load it" in refusal(path)
    with pytest.raises(InputError, match="not legal ONNX"):
        verify(path)


@pytest.mark.parametrize(
    ("key", "value"), [("halo", "-1"), ("halo", "nonsense"), ("halo", '"11"'), ("kind", "solver")]
)
def test_nonsense_in_the_metadata(denoiser_file: Path, tmp_path: Path, key: str, value: str) -> None:
    refusal(tampered(denoiser_file, tmp_path / "odd.onnx", say(**{key: value})))


def test_every_byte_is_under_the_checksum(denoiser_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "longer.onnx"
    path.write_bytes(denoiser_file.read_bytes() + b"\x72\x00")
    assert "checksum" in refusal(path)
    content, _ = container.read(denoiser_file)
    assert content == denoiser_file.read_bytes()
