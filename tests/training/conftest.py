"""Images to train on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def data(tmp_path, make_image):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        texture = make_image(40, 50)[0, 0].roll(5 * i, dims=0).numpy()
        Image.fromarray((texture * 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder
