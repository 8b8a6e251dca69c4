"""The folders of a model server and of a model hub: their formats, and that they describe the file in them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

import gradprox
from gradprox.cli.app import main
from gradprox.export import hub, write_hub_folder, write_triton_model
from gradprox.export.runtime import OnnxDenoiser, OnnxSolver
from gradprox.zoo import read_card

SHIPPED = Path(gradprox.__file__).parent / "exported_models"
# The types of Triton's model_config.proto that occur, and the types of ONNX Runtime that they stand for.
TYPES = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
}


def config_class():
    """Return the part of Triton's ``ModelConfig`` that we write; the parser refuses every other field."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="inference", syntax="proto3")
    types = file.enum_type.add(name="DataType")
    for number, name in enumerate(("TYPE_INVALID", *TYPES)):
        types.value.add(name=name, number=number)

    def message(title, **fields):
        described = file.message_type.add(name=title)
        for number, (field, (kind, repeated, type_name)) in enumerate(fields.items(), start=1):
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            described.field.add(name=field, number=number, type=kind, label=label, type_name=type_name)

    tensor = {
        "name": (kinds.TYPE_STRING, False, None),
        "data_type": (kinds.TYPE_ENUM, False, ".inference.DataType"),
        "dims": (kinds.TYPE_INT64, True, None),
    }
    message("ModelInput", **tensor, optional=(kinds.TYPE_BOOL, False, None))
    message("ModelOutput", **tensor)
    message(
        "ModelConfig",
        name=(kinds.TYPE_STRING, False, None),
        backend=(kinds.TYPE_STRING, False, None),
        max_batch_size=(kinds.TYPE_INT32, False, None),
        input=(kinds.TYPE_MESSAGE, True, ".inference.ModelInput"),
        output=(kinds.TYPE_MESSAGE, True, ".inference.ModelOutput"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def described(tensor, types):
    return types.values_by_number[tensor.data_type].name, list(tensor.dims)


def in_file(value):
    """Return type and dimensions of a tensor of a file, as Triton writes them: a scalar has one value."""
    name = next(name for name, kind in TYPES.items() if kind == value.type)
    return name, [size if isinstance(size, int) else -1 for size in value.shape] or [1]


@pytest.mark.parametrize("name", ["gray-fast", "color-fast-deblur"])
def test_a_triton_model_describes_its_file(name, tmp_path):
    folder = write_triton_model(SHIPPED / f"{name}.onnx", tmp_path / "models")
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        f"models/{name}/1/model.onnx",
        f"models/{name}/config.pbtxt",
    ]
    assert (folder / "1" / "model.onnx").read_bytes() == (SHIPPED / f"{name}.onnx").read_bytes()
    config = text_format.Parse((folder / "config.pbtxt").read_text(), config_class()())
    types = config.DESCRIPTOR.file.enum_types_by_name["DataType"]
    # Triton requires the name of the folder, and that 0 stands for dims that include the batch.
    assert (config.name, config.backend, config.max_batch_size) == (name, "onnxruntime", 0)

    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    needed, optional = session.get_inputs(), session.get_overridable_initializers()
    assert {tensor.name: described(tensor, types) for tensor in config.input} == {
        value.name: in_file(value) for value in (*needed, *optional)
    }
    assert {tensor.name for tensor in config.input if tensor.optional} == {value.name for value in optional}
    assert {tensor.name: described(tensor, types) for tensor in config.output} == {
        value.name: in_file(value) for value in session.get_outputs()
    }
    # Batches of Triton need a first dimension of any size in every tensor.
    assert any(value.shape[:1] == [1] for value in needed)


def head_of(folder):
    _, head, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_a_hub_folder_has_card_weights_and_recipe(tmp_path):
    write_hub_folder(SHIPPED / "gray-fast.onnx", tmp_path / "hub")
    assert {path.name for path in (tmp_path / "hub").iterdir()} == {
        "README.md",
        "model.onnx",
        "model.safetensors",
        "recipe.toml",
    }
    head, text = head_of(tmp_path / "hub")
    assert (head["license"], head["library_name"], head["pipeline_tag"]) == (
        "bsd-3-clause",
        "gradprox",
        "image-to-image",
    )
    assert "denoising" in head["tags"]
    card = read_card("gray-fast")
    (index,) = head["model-index"]
    assert index["name"] == card.name
    found = {result["dataset"]["name"]: result["metrics"][0]["value"] for result in index["results"]}
    assert found == {
        f"{test}, noise of {n}/255": psnr for test, by in card.psnr.items() for n, psnr in by.items()
    }
    assert card.license in text
    assert "pip install .`" in text
    assert "pip install ./runtime`" in text

    content = (tmp_path / "hub" / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == card.sha256
    y = np.random.default_rng(0).random((1, 1, 20, 24), dtype=np.float32)
    clean = OnnxDenoiser(tmp_path / "hub" / "model.onnx")(y, 0.1)
    model = gradprox.load_model(tmp_path / "hub" / "model.safetensors")
    import torch

    np.testing.assert_allclose(model(torch.from_numpy(y), 0.1).numpy(), clean, atol=1e-5)


def test_a_solver_in_a_hub_folder_has_no_figures_of_a_denoiser(tmp_path):
    write_hub_folder(SHIPPED / "gray-fast-deblur.onnx", tmp_path / "hub")
    head, text = head_of(tmp_path / "hub")
    assert "model-index" not in head
    assert "deblurring" in head["tags"]
    assert "OnnxSolver" in text
    assert OnnxSolver(tmp_path / "hub" / "model.onnx").problem == "deblur"


def test_a_model_of_ones_own_has_no_card_of_a_shipped_one(denoiser_file, tmp_path):
    same_name = {"name": "gray-fast", "weights_sha256": "0" * 64}
    assert hub._card_of(same_name) is None
    assert hub._card_of(same_name | {"weights_sha256": read_card("gray-fast").sha256}) is not None
    write_hub_folder(denoiser_file, tmp_path / "hub")
    head, _ = head_of(tmp_path / "hub")
    assert not {"license", "model-index"} & {*head}
    assert not (tmp_path / "hub" / "recipe.toml").exists()


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gradprox", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_the_command_adds_models_to_a_repository(denoiser_file, tmp_path, monkeypatch, capsys):
    repository = tmp_path / "models"
    (repository / "other").mkdir(parents=True)
    arguments = ("export", denoiser_file, repository, "--layout", "triton")
    assert run(monkeypatch, *arguments) == 0
    (name,) = {path.name for path in repository.iterdir()} - {"other"}
    file = repository / name / "1" / "model.onnx"
    assert file.read_bytes() == denoiser_file.read_bytes()
    assert onnx.load(file).graph.name
    assert f"{repository / name}: verified" in capsys.readouterr().out
    (repository / name / "note").touch()
    assert run(monkeypatch, *arguments) == 1
    assert "exists already: add --overwrite" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, "--overwrite") == 0
    assert not (repository / name / "note").exists()
    assert {path.name for path in repository.iterdir()} == {"other", name}


def test_layouts_are_folders(denoiser_file, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    for output, layout, said in (
        (tmp_path / "file", "hub", "is a file"),
        (tmp_path, "hub", "exists already"),
        (tmp_path / "x", "tf-serving", "--layout tf-serving is unknown"),
    ):
        assert run(monkeypatch, "export", denoiser_file, output, "--layout", layout) == 1
        assert said in capsys.readouterr().err
