"""Strips and threads change no value, and are used for values alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.autograd import forward_ad

from gradprox.networks import strips
from gradprox.networks.borders import crop
from gradprox.networks.denoisers import identity_path
from gradprox.networks.strips import cropped, is_plain, joined, like_strips, strips_of
from gradprox.networks.tile_threads import computed
from gradprox.networks.tiling import tiles
from gradprox.zoo import load_model


@pytest.mark.parametrize("size", [(1, 9), (7, 5), (30, 11), (31, 40)])
@pytest.mark.parametrize("margin", [0, 1, 4])
def test_strips_make_up_the_whole(size, margin, monkeypatch):
    monkeypatch.setattr(strips, "STRIP", 3 * 2 * 11 * 2)
    x, y = torch.rand(2, 3, *size), torch.rand(2, 1, *size)
    margin = min(margin, (min(size) - 1) // 2)
    parts = strips_of(x, 3)
    assert len(parts) == -(-size[0] // max(1, 22 // size[1]))
    assert torch.equal(
        joined([part + other for part, other in zip(parts, like_strips(y, parts), strict=True)]), x + y
    )
    assert torch.equal(joined(cropped(parts, margin)), crop(x, margin))


def test_what_is_differentiated_stays_whole():
    x = torch.rand(1, 2, 600, 600)
    assert len(strips_of(x, 2)) > 1
    assert len(strips_of(x.requires_grad_(), 2)) == 1


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated:FutureWarning"
)  # dual_level loads scripts
def test_derivatives_and_transforms_are_not_plain():
    x = torch.rand(2)
    assert is_plain(x)
    with torch.autocast("cpu"):
        assert not is_plain(x)
    weight = torch.rand(2, requires_grad=True)
    assert not is_plain(x, weight)
    with torch.no_grad():
        assert is_plain(x, weight)
    with forward_ad.dual_level():
        assert not is_plain(forward_ad.make_dual(x, x))
    found = []
    torch.func.vmap(lambda v: found.append(is_plain(v)) or v)(x)
    assert found == [False]


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
def test_tiles_are_computed_in_threads_that_work_alone_in_the_modes_of_the_caller():
    def state(_):
        return (
            threading.get_ident(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
        )

    x, places = torch.rand(3), list(tiles((4, 6), 2))
    for mode, modes in ((torch.no_grad, (False, False)), (torch.inference_mode, (False, True))):
        with mode():
            found = list(computed(state, places, [x]))
        assert [place for place, _ in found] == places
        assert {result[1:] for _, result in found} == {(1, *modes)}
        assert threading.get_ident() not in {result[0] for _, result in found}
        assert torch.get_num_threads() == 2
    assert {result for _, result in computed(state, places, [x.requires_grad_()])} == {
        (threading.get_ident(), 2, True, False)
    }


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_tile_reaches_the_caller_and_the_number_of_threads_stays():
    def fail(_):
        raise MemoryError("a tile")

    with pytest.raises(MemoryError, match="a tile"):
        list(computed(fail, tiles((4, 6), 2), []))
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2  # what new threads begin with


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", ["gray-fast", "gray-small"])
def test_threads_and_strips_change_no_image(name, monkeypatch):
    network, x = load_model(name).network.double(), torch.rand(2, 1, 34, 40, dtype=torch.float64)
    sigma = torch.tensor([0.1, 0.02], dtype=torch.float64)
    whole = network.envelope_and_gradient(x, sigma)
    monkeypatch.setattr(identity_path, "CPU_TILES", (20, 20))
    monkeypatch.setattr(strips, "STRIP", 2**11)
    tiled = network.envelope_and_gradient(x, sigma)
    torch.testing.assert_close(tiled[0], whole[0], rtol=1e-12, atol=0)
    torch.testing.assert_close(tiled[1], whole[1], rtol=0, atol=1e-13)
    torch.testing.assert_close(network(x, sigma), whole[1], rtol=0, atol=1e-13)
