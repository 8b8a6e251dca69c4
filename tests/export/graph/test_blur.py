"""Blur as a convolution is the blur of the library."""

from __future__ import annotations

import pytest
import torch

from gradprox.export.graph.blur import GraphBlur
from gradprox.physics.boundaries import blur_of_images
from gradprox.physics.contract import Physics


@pytest.mark.parametrize("boundary", ["valid", "circular", "symmetric"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 4), (2, 7)])
def test_blur_is_the_library_s(boundary: str, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 9, 8, dtype=torch.float64, generator=generator)
    kernel = torch.rand(1, 1, *size, dtype=torch.float64, generator=generator)
    graph = GraphBlur(kernel, boundary)
    physics = blur_of_images(boundary, kernel, (9, 8), 3)
    y = physics.A(x)
    torch.testing.assert_close(graph.A(x), y)
    torch.testing.assert_close(graph.A_adjoint(y), physics.A_adjoint(y))
    if boundary == "valid":
        torch.testing.assert_close(graph.initial(y), physics.initial(y))
        torch.testing.assert_close(graph.visible(x), physics.visible(x))
    assert isinstance(graph, Physics)
    assert graph.squared_norm() >= physics.squared_norm() * (1 - 1e-6)
