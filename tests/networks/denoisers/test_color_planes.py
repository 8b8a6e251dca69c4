"""The opponent transform: orthonormal, so that norms and white noise pass through it unchanged."""

from __future__ import annotations

import torch

from gradprox.networks.denoisers.color_planes import OPPONENT, from_planes, to_planes


def test_the_transform_is_orthonormal_and_undone_exactly():
    matrix = torch.tensor(OPPONENT, dtype=torch.float64)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-15)
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(to_planes(x).square().sum(), x.square().sum())
    torch.testing.assert_close(from_planes(to_planes(x)), x)


def test_gray_lies_in_the_first_plane():
    gray = torch.rand(1, 1, 4, 5, dtype=torch.float64)
    planes = to_planes(gray.expand(-1, 3, -1, -1))
    torch.testing.assert_close(planes[:, 0], 3**0.5 * gray[:, 0])
    assert planes[:, 1:].abs().max() < 1e-15
    assert torch.equal(to_planes(gray), gray)
