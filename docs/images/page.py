"""Take the screenshot of the page of `gradprox web` for the documentation, with headless Chromium.

python docs/images/page.py
"""

from __future__ import annotations

import io
import shutil
import threading
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from gradprox.images import EXAMPLE_IMAGE
from gradprox.physics import motion_kernel
from gradprox.web.server import PageServer, find_runtime

NOISE = 3  # of 255


def blurred(length: int, angle: int) -> bytes:
    """Return a PNG of the example image with a straight motion and noise."""
    kernel = motion_kernel(length, angle)[0, 0].numpy()
    with Image.open(EXAMPLE_IMAGE) as image:
        windows = np.lib.stride_tricks.sliding_window_view(image.convert("RGB"), kernel.shape, axis=(0, 1))
    y = (windows * kernel[::-1, ::-1]).sum((-2, -1))
    y += np.random.default_rng(0).normal(0, NOISE, y.shape)
    stream = io.BytesIO()
    Image.fromarray(y.clip(0, 255).round().astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def main() -> None:
    """Deblur an image on the page, and save what the page shows."""
    with PageServer(0, find_runtime()) as server, sync_playwright() as driver:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 860}, color_scheme="light")
        page.goto(server.url)
        page.get_by_label("Remove blur").check(force=True)
        page.get_by_label("Kind").select_option("motion")
        page.get_by_role("slider", name="Length").fill("15")
        page.get_by_role("slider", name="Angle").fill("30")
        content = {"name": "photo.png", "mimeType": "image/png", "buffer": blurred(15, 30)}
        page.set_input_files("#files", content)
        page.get_by_role("button", name="Restore").click()
        page.wait_for_selector("#download:not([hidden])", timeout=600_000)
        page.wait_for_selector("#cancel", state="hidden")
        page.screenshot(path=Path(__file__).with_name("page.jpg"), type="jpeg", quality=85)
        server.shutdown()
        browser.close()


if __name__ == "__main__":
    main()
