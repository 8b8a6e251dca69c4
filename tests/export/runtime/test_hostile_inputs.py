"""Arguments that resemble legal ones: what is an image or a number works, and what is none is refused by name."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper

from gradprox.errors import InputError
from gradprox.export import verify
from gradprox.export.runtime import OnnxDenoiser, container
from tests.export.small_networks import images
from tests.export.tampering import followed_by, say, tampered


@pytest.fixture(scope="module")
def denoise(denoiser_file: Path) -> OnnxDenoiser:
    return OnnxDenoiser(denoiser_file, threads=1)


Y = images(2, 1, 12, 9)
HUGE = np.broadcast_to(np.float32(0.5), (1, 1, 2**24, 2**24))


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(Y.astype(np.float64), id="double"),
        pytest.param(Y.astype(np.longdouble), id="long double"),
        pytest.param(Y.astype(">f4"), id="big-endian"),
        pytest.param(np.asfortranarray(Y), id="column-major"),
        pytest.param(Y[:, :, ::-1, ::-1][:, :, ::-1, ::-1], id="negative strides"),
        pytest.param(np.repeat(Y, 3, axis=3)[..., ::3], id="strided"),
        pytest.param(np.ascontiguousarray(Y.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2), id="transposed"),
        pytest.param(Y.tolist(), id="a list"),
        pytest.param(torch.from_numpy(Y), id="a tensor"),
    ],
)
def test_images_in_any_layout(denoise: OnnxDenoiser, y: object) -> None:
    np.testing.assert_allclose(denoise(y, 0.1), denoise(Y, 0.1), rtol=0, atol=1e-6)


def test_half_precision_images(denoise: OnnxDenoiser) -> None:
    half = Y.astype(np.float16)
    np.testing.assert_array_equal(denoise(half, 0.1), denoise(half.astype(np.float32), 0.1))


def test_one_value_for_a_whole_image(denoise: OnnxDenoiser) -> None:
    flat = np.broadcast_to(np.float32(0.5), (1, 1, 20, 30))
    np.testing.assert_array_equal(denoise(flat, 0.1), denoise(flat.copy(), 0.1))


def test_images_in_a_file_are_read_tile_by_tile(denoiser_file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", Y)
    mapped = np.load(tmp_path / "y.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        OnnxDenoiser(denoiser_file, tile=8)(mapped, 0.1), OnnxDenoiser(denoiser_file)(Y, 0.1)
    )


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(Y.astype(int), id="integers"),
        pytest.param(Y > 0.5, id="bool"),
        pytest.param(Y.astype(complex), id="complex"),
        pytest.param(Y.astype(object), id="objects"),
        pytest.param(np.zeros((1, 1, 2, 2), "datetime64[s]"), id="dates"),
        pytest.param(np.zeros((1, 1, 2, 2), "U3"), id="strings"),
        pytest.param(np.zeros((1, 1, 2, 2), [("r", "f4")]), id="records"),
        pytest.param([[[[0.1, 0.2], [0.3]]]], id="ragged"),
        pytest.param("y.png", id="a name"),
        pytest.param({}, id="a dict"),
        pytest.param(Y[0], id="three dimensions"),
        pytest.param(Y[None], id="five dimensions"),
        pytest.param(np.float32(0.5), id="a scalar"),
        pytest.param(Y[:, :, :0], id="no rows"),
        pytest.param(Y[:, :0], id="no channels"),
        pytest.param(torch.from_numpy(Y).requires_grad_(), id="a tensor that needs gradients"),
        pytest.param(torch.from_numpy(Y).bfloat16(), id="bfloat16"),
    ],
)
def test_no_images(denoise: OnnxDenoiser, y: object) -> None:
    for call in (lambda: denoise(y, 0.1), lambda: denoise.to_device(y)):
        with pytest.raises(InputError, match="expected floating-point images") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_more_than_memory_holds(denoise: OnnxDenoiser) -> None:
    for call in (lambda: denoise(HUGE, 0.1), lambda: denoise.to_device(HUGE)):
        with pytest.raises(InputError, match="does not fit into memory"):
            call()


@pytest.mark.parametrize(
    "sigma",
    [
        0.1,
        np.float64(0.1),
        np.array(0.1),
        np.array([0.1]),
        [0.1, 0.1],
        np.full((2, 1, 1, 1), 0.1),
        torch.tensor(0.1),
    ],
)
def test_noise_levels(denoise: OnnxDenoiser, sigma: object) -> None:
    np.testing.assert_array_equal(denoise(Y, sigma), denoise(Y, 0.1))


def test_whole_and_half_noise_levels(denoise: OnnxDenoiser) -> None:
    np.testing.assert_array_equal(denoise(Y, 0), denoise(Y, 0.0))
    np.testing.assert_array_equal(denoise(Y, np.float16(0.1)), denoise(Y, float(np.float16(0.1))))


@pytest.mark.parametrize(
    "sigma",
    [
        None,
        "0.1",
        b"0.1",
        True,
        [True, False],
        np.array([0.1 + 0j]),
        np.array([0.1], object),
        np.array(["0.1"]),
        datetime.timedelta(seconds=1),
        np.array([1], "timedelta64[s]"),
        [[0.1], [0.1, 0.2]],
    ],
)
def test_no_noise_level(denoise: OnnxDenoiser, sigma: object) -> None:
    with pytest.raises(InputError, match="the noise level must be a number"):
        denoise(Y, sigma)


@pytest.mark.parametrize("settings", [{"tile": True}, {"threads": True}, {"tile": 2.0}, {"tile": -1}])
def test_no_whole_number(denoiser_file: Path, settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="must be a whole number of at least 1"):
        OnnxDenoiser(denoiser_file, **settings)


@pytest.mark.parametrize("provider", [None, ["cpu"], 0, ""])
def test_no_provider(denoiser_file: Path, provider: object) -> None:
    with pytest.raises(InputError, match="unknown; choose one of cpu"):
        OnnxDenoiser(denoiser_file, provider)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(InputError, match=r"cannot be read|no such model file"):
            OnnxDenoiser(tmp_path / name)


def rename(kind: str, old: str, new: str) -> object:
    """Rename an input or an output of the graph."""

    def change(model: ModelProto) -> None:
        for value in getattr(model.graph, kind):
            value.name = new if value.name == old else value.name
        for node in model.graph.node:
            for values in (node.input, node.output):
                for place, name in enumerate(values):
                    values[place] = new if name == old else name

    return change


@pytest.mark.parametrize("change", [rename("input", "sigma", "noise"), rename("output", "x", "z")])
def test_a_denoiser_with_other_names(denoiser_file: Path, tmp_path: Path, change: object) -> None:
    with pytest.raises(
        InputError, match="is not a denoiser that this version of gradprox can run: its inputs are"
    ):
        OnnxDenoiser(tampered(denoiser_file, tmp_path / "names.onnx", change))


def test_a_name_that_is_no_text(denoiser_file: Path, tmp_path: Path) -> None:
    model = onnx.load(denoiser_file)
    model.graph.node[0].op_type = "NoSuchOperator"
    broken = model.SerializeToString().replace(b"NoSuchOperator", b"NoSuch\xffOperator"[:14])
    kept = broken[: broken.rindex(b"gradprox.sha256") - 4]
    (tmp_path / "text.onnx").write_bytes(container.seal(kept))
    with pytest.raises(InputError, match="cannot load it"):
        OnnxDenoiser(tmp_path / "text.onnx")
    with pytest.raises(InputError, match=r"not legal ONNX|damaged"):
        verify(tmp_path / "text.onnx")


def test_a_denoiser_that_returns_another_shape(denoiser_file: Path, tmp_path: Path) -> None:
    path = tampered(denoiser_file, tmp_path / "shape.onnx", followed_by("GlobalAveragePool", "x"))
    with pytest.raises(
        InputError, match=r"returns \(1, 1, 1, 1\) for an image of shape \(1, 1, 12, 9\)|cannot"
    ):
        OnnxDenoiser(path)(Y[:1], 0.1)


def test_a_denoiser_that_needs_a_further_input(denoiser_file: Path, tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))

    with pytest.raises(InputError, match="is not a denoiser that this version of gradprox can run"):
        OnnxDenoiser(tampered(denoiser_file, tmp_path / "more.onnx", change))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("channels", "2"),
        ("channels", "[1]"),
        ("channels", "[" * 100000),
        ("halo", "1.5"),
        ("halo", "1e999"),
        ("kind", None),
    ],
)
def test_metadata_that_make_no_sense(
    denoiser_file: Path, tmp_path: Path, key: str, value: str | None
) -> None:
    with pytest.raises(InputError) as caught:
        OnnxDenoiser(tampered(denoiser_file, tmp_path / "odd.onnx", say(**{key: value})))
    assert "\n" not in str(caught.value)
