"""Generate the images of the documentation: the output of `gradprox demo`, reduced to the size of a page.

python docs/images/make.py
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
WIDTH = 420


def main() -> None:
    """Run the demo and convert its images."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["gradprox", "demo", "--out", folder, "--quiet"], check=True)  # noqa: S603, S607
        for name in ("deblurring", "compressed-sensing"):
            for side in ("before", "after"):
                _save(Path(folder, f"{name}-{side}.png"), HERE / f"{name}-{side}.jpg")
        _save(Path(folder, "objective.png"), HERE / "objective.png", 960)
        _save(Path(folder, "images.png"), HERE.parent / "demo.jpg", 960)


def _save(source: Path, target: Path, width: int = WIDTH) -> None:
    with Image.open(source) as image:
        smaller = image.convert("RGB")
        smaller.thumbnail((width, width))
        smaller.save(target, quality=90, optimize=True)


if __name__ == "__main__":
    main()
