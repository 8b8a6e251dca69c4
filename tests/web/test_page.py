"""The page in a real browser: the same images as in Python, and nothing leaves the machine."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from gradprox import load_model
from gradprox.export.runtime import OnnxDenoiser, OnnxSolver
from gradprox.exported_models import MODELS
from gradprox.images import read_image
from gradprox.images.camera import is_camera_photo
from gradprox.images.srgb import light_per_display, to_display, to_linear_light
from gradprox.physics import ValidBlur, disk_kernel, gaussian_kernel, motion_kernel
from gradprox.solvers import ClippedL2, preset

# Restore an image in the page, and return its samples as floats, as the page has them before it rounds them.
RESTORED = """async ([width, height, pixels, settings]) => {
  const { restore } = await import("./restore.mjs");
  const ort = await import("./runtime/ort.wasm.bundle.min.mjs");
  ort.env.wasm.numThreads = 1; // small images are not worth more
  const image = { width, height, data: Uint8ClampedArray.from(pixels) };
  const result = [0, 1, 2].map(() => new Array(width * height));
  for await (const { window: { rows, columns }, samples, channels } of restore(image, settings)) {
    for (let c = 0; c < 3; c++) {
      const plane = channels === 1 ? 0 : c * rows.size * columns.size;
      for (let i = rows.start; i < rows.stop; i++) {
        for (let j = columns.start; j < columns.stop; j++) {
          result[c][i * width + j] = samples[plane + (i - rows.first) * columns.size + j - columns.first];
        }
      }
    }
  }
  return result;
}"""


def noisy(height, width, channels, seed=0):
    """An image of ``uint8``, ``(height, width, channels)``, smooth with noise; one channel stands for gray."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / 40
    clean = np.stack([0.5 + 0.3 * np.sin(rows + c) * np.cos(columns) for c in range(channels)], -1)
    return ((clean + generator.normal(0, 0.06, clean.shape)).clip(0, 1) * 255).round().astype(np.uint8)


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array.squeeze()).save(stream, "PNG")
    return stream.getvalue()


def model(channels):
    return load_model("color-fast" if channels == 3 else "gray-fast")


def batch_of(array):
    """``(H, W, C)`` of ``uint8`` as ``(1, C, H, W)`` of floats."""
    return torch.from_numpy(array.astype(np.float32) / 255).movedim(-1, 0)[None]


def denoised(array, sigma):
    """What Python restores from ``(H, W, C)`` of ``uint8``: floats ``(C, H, W)``."""
    return model(array.shape[-1])(batch_of(array), sigma)[0].numpy()


def described(kernel):
    """A kernel as the page has it."""
    return {"height": kernel.shape[-2], "width": kernel.shape[-1], "weights": kernel.ravel().tolist()}


def deblurred(y, noise, kernel, **options):
    """What Python restores from ``(1, C, H, W)`` with the preset and a strength of 1.2."""
    height, width = y.shape[-2:]
    physics = ValidBlur(kernel, (height + kernel.shape[-2] - 1, width + kernel.shape[-1] - 1))
    x = preset("deblur", noise, strength=1.2)(y, physics, model(y.shape[1]), **options).x
    return physics.visible(x)


def restored(page, array, settings):
    """What the page restores from it."""
    height, width, channels = array.shape
    opaque = np.full((height, width, 1), 255, np.uint8)
    rgba = np.concatenate([array.repeat(3 // channels, -1), opaque], -1)
    return np.array(page.evaluate(RESTORED, [width, height, rgba.ravel().tolist(), settings])).reshape(
        3, height, width
    )


def choose(page, content, name="photo.png"):
    page.set_input_files("#files", {"name": name, "mimeType": "image/png", "buffer": content})


def finish(page):
    """Restore the photos, and return the PNG of the one that is shown."""
    page.click("#start")
    page.wait_for_selector("#cancel", state="hidden")
    with page.expect_download() as download:
        page.click("#download")
    return np.array(Image.open(download.value.path())), download.value.suggested_filename


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_larger_than_a_tile_is_the_same_as_in_python(page, channels):
    array = noisy(40, 450, channels)
    x = restored(page, array, {"noise": 15 / 255, "strength": 1.2})
    assert np.abs(x - denoised(array, 18 / 255)).max() < 1e-5


def test_the_page_takes_halo_and_preset_from_the_models(page):
    tiles, preset = page.evaluate("import('./restore.mjs').then(({ DENOISE, PRESET }) => [DENOISE, PRESET])")
    denoisers = [OnnxDenoiser(model.file("denoise")) for model in MODELS]
    assert max(model.halo for model in denoisers) == tiles["halo"] < tiles["side"] / 4
    for model in MODELS:
        stated = json.loads(OnnxSolver(model.file("deblur")).metadata["preset"])
        assert preset == {key: stated[key] for key in ("max_iter", "tol")}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("gaussian(0.3)", gaussian_kernel(0.3)),
        ("gaussian(1.6)", gaussian_kernel(1.6)),
        ("motion(15, 30)", motion_kernel(15, 30)),
        ("motion(6.5, 117)", motion_kernel(6.5, 117)),
        ("disk(0.5)", disk_kernel(0.5)),
        ("disk(4.5)", disk_kernel(4.5)),
    ],
)
def test_kernels_are_those_of_python(page, call, expected):
    kernel = page.evaluate(f"import('./kernels.mjs').then((kernels) => kernels.{call})")
    assert (kernel["height"], kernel["width"]) == expected.shape[-2:]
    np.testing.assert_allclose(kernel["weights"], expected.ravel(), atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_deblurred_image_is_the_same_as_in_python(page, channels):
    array, kernel = noisy(40, 48, channels), motion_kernel(7, 30)
    x = restored(page, array, {"noise": 0.06, "strength": 1.2, "kernel": described(kernel)})
    y = batch_of(array)
    assert np.abs(x - deblurred(y, 0.06, kernel)[0].numpy()).max() < 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_clipped_pixels_count_as_in_python(page, channels):
    array, kernel = noisy(40, 48, channels), motion_kernel(7, 30)
    array[10:20, 12:30], array[25:30, 30:40] = 255, 0  # a lamp, and a black patch
    settings = {"noise": 0.06, "strength": 1.2, "kernel": described(kernel)}
    y = batch_of(array)
    for clipping, fidelity in ((True, ClippedL2()), (False, None)):
        x = restored(page, array, settings | {"clipping": clipping})
        expected = deblurred(y, 0.06, kernel, fidelity=fidelity)
        assert np.abs(x - expected[0].numpy()).max() < 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_a_photo_deblurred_in_linear_light_is_the_same_as_in_python(page, channels):
    array, kernel = noisy(40, 48, channels), motion_kernel(7, 30)
    settings = {"noise": 0.06, "strength": 1.2, "kernel": described(kernel), "light": True}
    x = restored(page, array, settings)
    y = batch_of(array)
    # The level is that of the stored values, as in `gradprox.images.noise_estimation`.
    noise = 0.06 * float(light_per_display(y.double()).square().mean().sqrt())
    expected = to_display(deblurred(to_linear_light(y), noise, kernel))
    assert np.abs(x - expected[0].numpy()).max() < 1e-4


def test_only_files_with_the_input_for_clipping_are_changed(page):
    code = """async (name) => {
      const { setClipping } = await import("./restore.mjs");
      const content = new Uint8Array(await (await fetch(`./models/${name}.onnx`)).arrayBuffer());
      const before = content.slice();
      setClipping(content);
      return content.filter((byte, i) => byte !== before[i]).length;
    }"""
    for model in MODELS:
        assert page.evaluate(code, model.file("deblur").stem) == 1
        assert page.evaluate(code, model.file("denoise").stem) == 0


def test_the_curve_is_that_of_python(page):
    values = np.linspace(-1.2, 1.2, 2401)
    code = """import('./camera.mjs').then(
        (c) => [c.toLight, c.toDisplay, c.lightPerDisplay].map((curve, i) => VALUES[i].map(curve)))"""
    inside = values[values >= 0]
    given = [inside.tolist(), values.tolist(), inside.tolist()]
    light, display, slope = page.evaluate(code.replace("VALUES", json.dumps(given)))
    np.testing.assert_allclose(light, to_linear_light(inside), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(display, to_display(values), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(slope, light_per_display(inside), rtol=1e-12)


def photo(kind, order="<", exposure=None, array=None):
    """A JPEG, PNG or WebP file with Exif of an order of bytes; its exposure is that of a camera if not given."""
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Model] = "Camera"
    values = {"ExposureTime": (1, 100), "FNumber": (28, 10)} if exposure is None else exposure
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {int(ExifTags.Base[name]): IFDRational(*value) for name, value in values.items()}
    )
    stream = io.BytesIO()
    Image.fromarray(noisy(8, 8, 3) if array is None else array).save(stream, kind, exif=exif.tobytes())
    return stream.getvalue()


def recognized(page, contents):
    """Whether each file is a photo of a camera, by the page."""
    code = """(all) => import('./camera.mjs').then(
        (camera) => all.map((bytes) => camera.isCameraPhoto(Uint8Array.from(bytes).buffer)))"""
    return page.evaluate(code, [list(content) for content in contents])


def test_photos_of_a_camera_are_recognized_as_in_python(page, tmp_path):
    zero, number = {"ExposureTime": (0, 1)}, {"FNumber": (28, 10)}
    exposures = (None, {}, zero, number, zero | number)
    files = [
        photo(kind, order, exposure)
        for kind in ("JPEG", "PNG", "WEBP")
        for order in "<>"
        for exposure in exposures
    ]
    files.append(b"\xff\xd8" + b"\xff" * 3 + photo("JPEG")[3:])  # with bytes that fill
    expected = []
    for content in files:
        path = tmp_path / "photo.png"
        path.write_bytes(content)
        expected.append(is_camera_photo(read_image(path)))
    assert sum(expected) == 3 * 2 * 3 + 1
    assert recognized(page, files) == expected


def test_damaged_photos_are_read_without_an_error(page):
    generator = np.random.default_rng(0)
    damaged = [b"", b"no image", b"\xff\xd8" + b"\xff" * 1000, b"\xff\xd8" + b"\xff\xe1\0\0" * 100]
    for kind in ("JPEG", "PNG", "WEBP"):
        content = np.frombuffer(photo(kind), np.uint8)
        damaged += [content[:size].tobytes() for size in range(len(content))]
        for _ in range(300):
            changed = content.copy()
            changed[generator.integers(0, len(content), 6)] = generator.choice([0, 1, 127, 255], 6)
            damaged.append(changed.tobytes())
    assert set(recognized(page, damaged)) == {True, False}


def test_photos_of_a_camera_are_deblurred_in_linear_light(page):
    page.check("[value=deblur]", force=True)
    array = noisy(30, 40, 3)
    choose(page, png(array), "drawing.png")
    as_stored, _ = finish(page)
    assert page.inner_text("li.shown .note") == "restored"
    choose(page, photo("PNG", array=array), "photo.png")
    in_light, _ = finish(page)
    assert page.inner_text("li.shown .note") == "restored in linear light"
    page.get_by_text("More settings").click()
    page.get_by_label("Linear light").select_option("never")
    assert (finish(page)[0] == as_stored).all()
    page.get_by_label("Linear light").select_option("always")
    page.click("li:nth-child(1) .choose")
    assert (finish(page)[0] == in_light).all()
    assert (in_light != as_stored).any()


def test_the_browser_converts_pixels_to_the_curve_of_srgb(page):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0)
    start = profile.index(curve) + len(curve)
    linear = struct.pack(">5i", *(round(65536 * value) for value in (1, 1, 0, 1, 0)))
    stream = io.BytesIO()
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, -1)
    profile = profile[:start] + linear + profile[start + len(linear) :]
    Image.fromarray(values).save(stream, "PNG", icc_profile=profile)
    decoded = page.evaluate(
        """(bytes) => import('./pixels.mjs').then(({ decode }) => decode(new Blob([Uint8Array.from(bytes)])))
            .then(({ data }) => [...data])""",
        list(stream.getvalue()),
    )
    expected = to_display(values[..., 0] / 255) * 255
    assert np.abs(np.reshape(decoded, (16, 16, 4))[..., 0] - expected).max() < 1.5


def test_tiles_of_a_deblurred_image_agree(page):
    array = noisy(16, 150, 1)
    kernel = {"height": 1, "width": 3, "weights": [0.25, 0.5, 0.25]}
    settings = {"noise": 0.06, "strength": 1, "kernel": kernel}
    whole = restored(page, array, settings)
    page.evaluate("import('./restore.mjs').then(({ DEBLUR }) => { DEBLUR.side = 70; })")
    tiles = restored(page, array, settings)
    assert 0 < np.abs(tiles - whole).max() < 1e-3


def test_a_kernel_image(page):
    page.check("[value=deblur]", force=True)
    page.select_option("#kind", "image")
    choose(page, png(noisy(20, 20, 3)))
    assert page.is_disabled("#start")
    kernel = np.zeros((5, 9, 1), np.uint8)
    kernel[2, 1:8] = 255
    for content, said in [
        (b"no image", "not an image"),
        (png(np.zeros((3, 3, 1), np.uint8)), "black everywhere"),
    ]:
        page.set_input_files("#kernel", {"name": "kernel.png", "mimeType": "image/png", "buffer": content})
        page.wait_for_selector(f"#kernel-error:has-text({said!r})")
    page.set_input_files("#kernel", {"name": "kernel.png", "mimeType": "image/png", "buffer": png(kernel)})
    page.wait_for_selector("#drawing:not([hidden])")
    assert page.is_enabled("#start")
    found = page.evaluate("import('./settings.mjs').then(({ settings }) => settings().kernel)")
    assert (found["height"], found["width"]) == (5, 9)
    np.testing.assert_allclose(found["weights"], kernel.ravel() / 255 / 7, atol=1e-12)


def test_the_downloaded_image_is_that_of_python(page):
    assert page.evaluate("crossOriginIsolated")
    array = noisy(60, 50, 3)
    choose(page, png(array), "my photo.png")
    image, name = finish(page)
    assert name == "my photo-restored.png"
    assert (image[..., 3:] == 255).all()
    expected = denoised(array, 15 / 255).clip(0, 1) * 255
    assert np.abs(image[..., :3] - expected.transpose(1, 2, 0)).max() < 0.51  # rounding, and the last digits


def test_alpha_is_kept(page):
    alpha = np.random.default_rng(1).integers(0, 256, (30, 40, 1), dtype=np.uint8)
    choose(page, png(np.concatenate([noisy(30, 40, 3), alpha], -1)))
    image, _ = finish(page)
    assert (image[..., 3:] == alpha).all()


def test_a_file_that_is_no_image_is_reported_and_the_others_are_restored(page):
    choose(page, b"no image", "notes.png")
    choose(page, png(noisy(20, 20, 1)))
    image, _ = finish(page)
    assert image.shape == (20, 20, 4)
    assert "not an image" in page.inner_text("li.failed")
    page.click("li.failed .choose")
    assert "not an image" in page.inner_text("#caption")


def test_one_photo_or_all_are_restored(page):
    choose(page, png(noisy(20, 20, 3)), "a.png")
    first, _ = finish(page)
    choose(page, png(noisy(24, 24, 3)), "b.png")
    page.fill("#strength", "2")
    assert finish(page)[0].shape == (24, 24, 4)
    page.click("li:nth-child(1) .choose")
    with page.expect_download() as download:
        page.click("#download")
    assert (np.array(Image.open(download.value.path())) == first).all()  # of the settings before
    page.click("#all")  # the shown photo waits, the other one has these settings already
    page.wait_for_selector("#all:disabled")
    with page.expect_download() as download:
        page.click("#download")
    assert (np.array(Image.open(download.value.path())) != first).any()


def test_cancel_ends_the_work_and_another_photo_follows(page):
    choose(page, png(noisy(600, 600, 3)))
    page.click("#start")
    page.wait_for_selector("#progress[value]")  # the first tile is done
    page.click("#cancel")
    assert page.inner_text("#status") == "Cancelled."
    assert page.is_hidden("#progress")
    page.click(".remove")
    choose(page, png(noisy(20, 20, 3)))
    assert finish(page)[0].shape == (20, 20, 4)


def test_the_page_works_without_the_server_once_loaded(page):
    page.evaluate("navigator.serviceWorker.ready")
    page.context.set_offline(True)
    page.reload()
    array = noisy(24, 24, 3)
    choose(page, png(array))
    image, _ = finish(page)
    assert np.abs(image[..., :3] - denoised(array, 15 / 255).clip(0, 1).transpose(1, 2, 0) * 255).max() < 0.51


def test_every_control_has_a_label(page):
    page.check("[value=deblur]", force=True)
    for kind, names in [("disk", ["Radius"]), ("gaussian", ["Width"]), ("motion", ["Length", "Angle"])]:
        page.get_by_label("Kind").select_option(kind)
        for name in ["Noise", "Strength", *names]:
            assert page.get_by_role("slider", name=name).is_visible()
    assert page.get_by_role("slider").count() == 4
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")
