"""Stacks: pages and frames keep their order, depth and metadata, and damaged stacks are refused."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from gradprox.errors import InputError
from gradprox.images import ImageData, open_stack, read_image, write_stack
from gradprox.images.deep import TooManyChannelsError

RANDOM = np.random.default_rng(0)
SHAPE = (5, 20, 30)
DEEP = RANDOM.integers(0, 65536, SHAPE, dtype=np.uint16)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def copied(source, target, *, separate=False):
    """Write the images of a stack to another file; return what is lost."""
    stack = open_stack(source, separate=separate)
    return write_stack(target, stack.images(), stack, stack.check())


def tags(path):
    with tifffile.TiffFile(path) as file:
        layout = (*range(256, 260), 262, 273, 277, 278, 279, 284, 317, 322, 323, 324, 325)
        return [{tag.code: tag.value for tag in page.tags if tag.code not in layout} for page in file.pages]


@pytest.mark.parametrize(
    "options",
    [
        {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2.0, "unit": "um", "Labels": list("abcde")}},
        {"imagej": True, "byteorder": ">", "metadata": {"axes": "TYX", "Ranges": (0.0, 100.0)}},
        {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.1}},
        {
            "metadata": None,
            "photometric": "minisblack",
            "compression": "lzw",
            "extratags": [(285, 2, 0, "p", 0)],
        },
        {"metadata": None, "photometric": "minisblack", "bigtiff": True},
    ],
    ids=["imagej", "imagej, big-endian", "ome", "tags of pages", "bigtiff"],
)
def test_pages_keep_samples_and_tags(tmp_path, options):
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(source, DEEP, resolution=(3.5, 4.5), **options)
    assert copied(source, target) == ()
    np.testing.assert_array_equal(tifffile.imread(target), DEEP)
    assert tags(target) == tags(source)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(target) as after:
        assert before.series[0].axes == after.series[0].axes
        assert before.imagej_metadata == after.imagej_metadata
        assert before.ome_metadata == after.ome_metadata
        assert before.is_bigtiff == after.is_bigtiff


def test_large_imagej_stacks_have_one_directory(tmp_path):
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(source, DEEP, imagej=True, truncate=True, metadata={"axes": "ZYX"})
    assert copied(source, target) == ()
    np.testing.assert_array_equal(tifffile.imread(target), DEEP)
    source.write_bytes(source.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"truncated TIFF: it should hold 5 images"):
        open_stack(source).check()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_pages_of_different_kinds(tmp_path, kind):
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    colors = (RANDOM.random((7, 9, 3)) * np.array(255 if kind == np.uint8 else 1)).astype(kind)
    with tifffile.TiffWriter(source) as writer:
        writer.write(colors, photometric="rgb", metadata=None, iccprofile=PROFILE)
        writer.write(colors[:5, :, 0], photometric="minisblack", metadata=None)
    assert copied(source, target) == ()
    with tifffile.TiffFile(target) as file:
        first, second = (page.asarray() for page in file.pages)
        assert file.pages[0].iccprofile == PROFILE
    np.testing.assert_array_equal(first, colors)
    np.testing.assert_array_equal(second, colors[:5, :, 0])
    with pytest.raises(InputError, match=r"b\.png cannot hold images of different sizes: write a \.tif file"):
        copied(source, tmp_path / "b.png")


@pytest.fixture(params=["png", "webp", "gif"])
def animation(request, tmp_path):
    """An animation with alpha, except in GIF, which has equal frames."""
    path, samples = tmp_path / f"a.{request.param}", RANDOM.integers(0, 256, (4, 13, 10, 4), dtype=np.uint8)
    samples[..., 3] |= 1
    frames = [Image.fromarray(s if request.param != "gif" else s[..., :3]) for s in samples]
    options = {"lossless": True, "exact": True} if request.param == "webp" else {}
    if request.param != "gif":
        options["icc_profile"] = PROFILE
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=[40, 70, 70, 1500], loop=3, **options
    )
    return path


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_animations_keep_frames_durations_and_loops(animation, tmp_path, suffix):
    target = tmp_path / f"b{suffix}"
    assert copied(animation, target) == ()
    with Image.open(animation) as before, Image.open(target) as after:
        assert after.n_frames == before.n_frames == 4
        assert after.info["loop"] == before.info["loop"] == 3
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        for number, duration in enumerate([40, 70, 70, 1500]):
            before.seek(number)
            after.seek(number)
            after.load()
            assert after.info["duration"] == duration
            np.testing.assert_array_equal(after.convert("RGBA"), before.convert("RGBA"))


def test_equal_frames_stay_frames(tmp_path):
    stack = open_stack(plain_animation(tmp_path))
    image = next(stack.images())
    for suffix in (".png", ".webp"):
        write_stack(tmp_path / f"b{suffix}", [image] * 3, stack, stack.check())
        assert open_stack(tmp_path / f"b{suffix}").count == 3


def plain_animation(folder):
    frames = [Image.fromarray(RANDOM.integers(0, 256, (9, 8), dtype=np.uint8)) for _ in range(3)]
    frames[0].save(folder / "plain.png", save_all=True, append_images=frames[1:])
    return folder / "plain.png"


def test_stacks_in_other_formats(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, metadata=None, photometric="minisblack")
    assert copied(tmp_path / "a.tif", tmp_path / "b.png") == ()  # an animation of 16 bits
    assert copied(tmp_path / "a.tif", tmp_path / "b.webp") == ("16 bits per sample (stored with 8 bits)",)
    assert copied(plain_animation(tmp_path), tmp_path / "c.tif") == ("durations of frames",)
    copied(tmp_path / "a.tif", tmp_path / "b.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), DEEP / np.float32(65535))
    copied(tmp_path / "b.npy", tmp_path / "d.npy")
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "d.npy").read_bytes()
    with pytest.raises(InputError, match=r"more than 8 bits per sample is not read"):
        open_stack(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"would hold one image, and .*a\.tif has 5: write a file \.tif"):
        copied(tmp_path / "a.tif", tmp_path / "b.jpg")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_any_number_of_channels(tmp_path, planar):
    samples = RANDOM.integers(0, 256, (11, 12, 5), dtype=np.uint8)
    stored = samples if planar == "contig" else np.moveaxis(samples, -1, 0)
    options = {"photometric": "minisblack", "planarconfig": planar, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    with pytest.raises(TooManyChannelsError, match="5 samples per pixel"):
        read_image(tmp_path / "a.tif")
    (image,) = open_stack(tmp_path / "a.tif", separate=True).images()
    assert image.array.shape == (1, 5, 11, 12)
    copied(tmp_path / "a.tif", tmp_path / "b.tif", separate=True)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), samples)
    with pytest.raises(InputError, match=r"cannot hold 5 channels: write a \.tif file"):
        copied(tmp_path / "a.tif", tmp_path / "b.png", separate=True)


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}, {"compression": "lzw"}])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.995])
def test_truncated_stacks_are_refused(tmp_path, options, share):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, DEEP, photometric="minisblack", **options)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"a\.tif: "):
        open_stack(path).check()


@pytest.mark.parametrize("share", [0.4, 0.8, 0.97])
def test_truncated_animations_are_refused(animation, share):
    animation.write_bytes(animation.read_bytes()[: int(share * animation.stat().st_size)])
    with pytest.raises(InputError, match=r": damaged"):
        open_stack(animation).check()


def test_a_stack_without_its_last_bytes_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, DEEP, photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        end = file.pages[-1].tags[296].offset + 12
    path.write_bytes(path.read_bytes()[: end - 4])
    with pytest.raises(InputError, match="damaged or truncated TIFF: corrupted tag list of page 6"):
        open_stack(path)


def test_empty_and_infinite_pages_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0\0\0\0\0")
    with pytest.raises(InputError, match="damaged or truncated TIFF"):
        open_stack(path)
    pages = RANDOM.random((3, 8, 9)).astype(np.float32)
    pages[1, 2, 3] = np.nan
    tifffile.imwrite(path, pages, photometric="minisblack")
    with pytest.raises(InputError, match=r"page 2: contains NaN"):
        open_stack(path).check()
    np.save(tmp_path / "empty.npy", np.zeros((0, 8, 9)))
    with pytest.raises(InputError, match=r"expected an array"):
        open_stack(tmp_path / "empty.npy").check()


def test_a_failed_stack_leaves_no_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="minisblack")
    stack = open_stack(tmp_path / "a.tif")
    kinds = stack.check()
    bad = [*stack.images()]
    bad[3] = ImageData(np.full((1, 1, *SHAPE[1:]), np.nan, np.float32), 16)
    for suffix in (".tif", ".png", ".webp", ".npy"):
        with pytest.raises(InputError, match="NaN or infinite"):
            write_stack(tmp_path / f"b{suffix}", bad, stack, kinds)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
