"""Time and memory of the page of `gradprox web` in Chromium, for one photo.

    python benchmarks/web.py --megapixels 0.5
    python benchmarks/web.py --megapixels 0.5 --deblur motion:15:30 --no-clipping
    python benchmarks/web.py --megapixels 12 --json web.json

The photo is the example image, enlarged and degraded. The seconds of the processor count all processes of the browser,
so that they can be compared on a machine that does other work at the same time. Memory is the peak of the process of
the tab. Linux only.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from gradprox.files import write_json
from gradprox.images import EXAMPLE_IMAGE
from gradprox.physics.kernels import read_kernel
from gradprox.web.server import PageServer, find_runtime

TICKS = os.sysconf("SC_CLK_TCK")


def photo(megapixels: float, kernel: str | None, noise: float) -> bytes:
    """Return a PNG of 4:3."""
    width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
    with Image.open(EXAMPLE_IMAGE) as image:
        large = image.convert("RGB").resize((width, round(width * 3 / 4)), Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.asarray(large, np.float32) / 255).movedim(-1, 0)[:, None]
    if kernel is not None:
        x = torch.nn.functional.conv2d(x, read_kernel(kernel).flip(-1, -2), padding="same")
    y = x[:, 0] + noise * torch.randn(x[:, 0].shape, generator=torch.Generator().manual_seed(0))
    stream = io.BytesIO()
    Image.fromarray((255 * y.clamp(0, 1)).round().byte().movedim(0, -1).numpy()).save(stream, "PNG")
    return stream.getvalue()


def family(process: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [process]
    for member in found:
        for children in Path(f"/proc/{member}/task").glob("*/children"):
            found += map(int, children.read_text().split())
    return found


def cost(processes: list[int]) -> tuple[float, float]:
    """Return the seconds of the processor that processes have used, and the largest peak of memory in MB."""
    seconds, peak = 0.0, 0.0
    for process in processes:
        try:
            times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        seconds += sum(map(int, times)) / TICKS
        if "--type=renderer" in Path(f"/proc/{process}/cmdline").read_text():
            peak = max(peak, float(status.partition("VmHWM:")[2].split()[0]) / 1e3)
    return seconds, peak


def measure(
    content: bytes, kernel: str | None, noise: float, limit: float, *, clipping: bool
) -> dict[str, float | str]:
    """Return the figures of one photo."""
    with PageServer(0, find_runtime()) as server, sync_playwright() as driver:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(server.url)
        page.evaluate("navigator.serviceWorker.ready")
        if kernel is not None:
            name, *numbers = kernel.split(":")
            fields = {"disk": ["radius"], "gaussian": ["sigma"], "motion": ["length", "angle"]}[name]
            page.check("[value=deblur]", force=True)
            page.select_option("#kind", name)
            for field, value in zip(fields, numbers, strict=True):
                page.fill(f"#{field}", value)
            page.get_by_text("More settings").click()
            page.set_checked("#clipping", clipping)
        page.fill("#noise", f"{round(2 * 255 * noise) / 2:g}")
        page.set_input_files("#files", {"name": "photo.png", "mimeType": "image/png", "buffer": content})
        processes, begin = family(os.getpid()), time.perf_counter()
        before, _ = cost(processes)
        page.click("#start")
        page.wait_for_selector("#download:not([hidden]), li.failed", timeout=1000 * limit)
        seconds = time.perf_counter() - begin
        after, peak = cost(family(os.getpid()))
        outcome = page.inner_text("#status")
        server.shutdown()
        browser.close()
    return {
        "outcome": outcome,
        "seconds": round(seconds, 1),
        "processor_seconds": round(after - before, 1),
        "peak_mb": round(peak),
        "load_average": os.getloadavg()[0],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, default=0.5)
    parser.add_argument(
        "--deblur", metavar="KERNEL", help="motion:LENGTH:ANGLE, disk:RADIUS or gaussian:SIGMA"
    )
    parser.add_argument("--no-clipping", action="store_true", help="take white and black pixels as they are")
    parser.add_argument("--noise", type=float, help="standard deviation, where white is 1")
    parser.add_argument("--limit", type=float, default=3600, help="seconds to wait at most")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    noise = given.noise or (15 if given.deblur is None else 3) / 255
    found = measure(
        photo(given.megapixels, given.deblur, noise),
        given.deblur,
        noise,
        given.limit,
        clipping=not given.no_clipping,
    )
    print(found)  # noqa: T201
    if given.json:
        write_json(
            given.json, {"megapixels": given.megapixels, "kernel": given.deblur, "noise": noise, **found}
        )
