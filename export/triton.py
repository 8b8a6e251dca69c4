"""A model repository of the Triton Inference Server: one folder per model, with a description and an ONNX file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

import onnx
from onnx import ModelProto, ValueInfoProto

from gradprox.export.runtime import container
from gradprox.files import folder_written_whole

# The names of ``DataType`` in Triton's ``model_config.proto``, for the types that exported files have.
DATA_TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "TYPE_FP32",
    onnx.TensorProto.DOUBLE: "TYPE_FP64",
    onnx.TensorProto.INT64: "TYPE_INT64",
    onnx.TensorProto.BOOL: "TYPE_BOOL",
}
# Triton merges requests along a first dimension that every input shares. The noise level has none.
COMMENT = """\
# Requests are not merged into batches, because a noise level holds for all images of a request. One request may have
# several images of one size.
"""


def write_triton_model(file: str | Path, repository: str | Path, *, replace: bool = False) -> Path:
    """Put an exported file into a model repository, as version 1 of a model.

    Args:
        file: an exported file.
        repository: the folder of the repository; it may have other models.
        replace: whether to replace a model of the same name.

    Returns:
        The folder of the model, ``repository/NAME``: ``config.pbtxt`` and ``1/model.onnx``. See `layout_name`.

    Raises:
        InputError: the file was not exported by gradprox, or is damaged.
        OSError: the model exists already, or cannot be written.
    """
    content, metadata = container.read(file)
    name = layout_name(metadata)
    folder = Path(repository) / name
    with folder_written_whole(folder, replace=replace) as temporary:
        (temporary / "1").mkdir()
        shutil.copyfile(file, temporary / "1" / "model.onnx")
        model = onnx.load_model_from_string(content)
        (temporary / "config.pbtxt").write_text(triton_config(name, model), encoding="utf-8")
    return folder


def layout_name(metadata: dict[str, str]) -> str:
    """Return a name for an exported file: that of its model, and for a solver its task, such as ``gray-deep-deblur``.

    A solver that is not the default of the task is added: ``gray-deep-deblur-nmapg``. The default is that of the warm
    start.

    Args:
        metadata: those of the file, as `gradprox.export.runtime.container.read` returns them.
    """
    algorithm = metadata.get("algorithm", "")
    warm_solver = json.loads(metadata.get("preset", "{}")).get("warm_solver", algorithm)
    default = "hqs" if metadata.get("problem") == "deblur" else warm_solver
    parts = metadata["name"], metadata.get("problem", ""), "" if algorithm == default else algorithm
    return "-".join(part for part in parts if part)


def triton_config(name: str, model: ModelProto) -> str:
    """Return the text of ``config.pbtxt``, a ``ModelConfig`` of Triton's ``model_config.proto``.

    Dimensions of any size are -1, and that of a scalar is 1. An input with a default in the file is optional.
    """
    defaults = {tensor.name for tensor in model.graph.initializer}
    return (
        f"{COMMENT}name: {json.dumps(name)}\n"
        'backend: "onnxruntime"\n'
        "max_batch_size: 0\n"
        f"input [\n{_tensors(model.graph.input, defaults)}\n]\n"
        f"output [\n{_tensors(model.graph.output)}\n]\n"
    )


def _tensors(values: Iterable[ValueInfoProto], optional: Collection[str] = ()) -> str:
    return ",\n".join(_tensor(value, value.name in optional) for value in values)


def _tensor(value: ValueInfoProto, optional: bool) -> str:
    kind = value.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim] or [1]
    fields = [
        f"name: {json.dumps(value.name)}",
        f"data_type: {DATA_TYPES[kind.elem_type]}",
        f"dims: {dims}",
        *(["optional: true"] if optional else []),
    ]
    return "  {\n" + "".join(f"    {field}\n" for field in fields) + "  }"
