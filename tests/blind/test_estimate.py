"""`estimate_kernel` finds kernels of each family, is sure of them, and is not sure where there is nothing to find."""

from __future__ import annotations

import itertools

import pytest
import torch

from gradprox.blind import LEAST_CONFIDENCE, estimate, estimate_kernel
from gradprox.blind.estimate import FREE_GAIN, chosen
from gradprox.blind.families import Member, no_blur
from gradprox.errors import InputError
from gradprox.physics import disk_kernel, gaussian_kernel, motion_kernel, read_kernel
from tests.blind.photos import NOISE, photo_of, shake, similarity


@pytest.mark.parametrize(
    ("family", "kernel", "parameters"),
    [
        ("disk", disk_kernel(3.3), (3.3,)),
        ("gaussian", gaussian_kernel(2.2), (2.2,)),
        ("motion", motion_kernel(11, 35), (11, 35)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_are_found(family, kernel, parameters, channels):
    found = estimate_kernel(photo_of(kernel, channels), NOISE, family=family)
    assert found.family == family
    assert found.parameters[0] == pytest.approx(parameters[0], rel=0.1)
    assert found.parameters[1:] == pytest.approx(parameters[1:], abs=5)
    assert found.confidence > LEAST_CONFIDENCE
    assert found.size == max(found.kernel.shape[-2:])
    assert float(found.kernel.sum()) == pytest.approx(1, abs=1e-5)
    again = read_kernel(found.description)
    assert similarity(again, found.kernel) > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "kernel"),
    [
        ("disk", disk_kernel(3.3)),
        ("gaussian", gaussian_kernel(1.7)),
        ("motion", motion_kernel(11, 35)),
        ("free", shake()),
    ],
)
def test_the_family_is_found(family, kernel):
    shares = []
    found = estimate_kernel(photo_of(kernel, side=220), NOISE, callback=shares.append)
    assert found.family == family
    # The fur of the example has few edges: with this estimate of its shake, the squared error is 1.5 times as large.
    assert similarity(found.kernel, kernel) > (0.8 if family == "free" else 0.95)
    assert found.confidence > LEAST_CONFIDENCE
    assert shares == sorted(shares)
    # The bar moves; a search may end early.
    assert max(b - a for a, b in itertools.pairwise([0.0, *shares[:-1]])) < 0.2
    assert shares[-1] == pytest.approx(1)


@pytest.mark.parametrize(("gain", "family"), [(0.99, "motion"), (1.01, "free")])
def test_a_free_kernel_must_explain_clearly_more_than_a_family(gain, family):
    kernel, sharp = motion_kernel(9, 20), -50.0
    motion = Member("motion", (9, 20), kernel, sharp + 1000.0)
    disk = Member("disk", (3,), kernel, sharp + 10.0)
    free = Member("free", (), kernel, sharp + gain * FREE_GAIN * 1000.0)
    assert chosen([disk, motion, free], sharp).family == family
    assert chosen([free], sharp) is free
    assert chosen([motion, disk], sharp) is motion


def nothing(kind):
    """Return a photo without a blur to find, 160x160 pixels."""
    if kind == "sharp":
        return photo_of(torch.ones(1, 1, 1, 1), side=160)
    flat = torch.full((1, 1, 160, 160), 0.5)
    if kind == "constant":
        return flat
    return flat + 0.05 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["sharp", "constant", "noise"])
@pytest.mark.parametrize("family", ["disk", "gaussian", "motion", "free"])
def test_there_is_no_confidence_without_a_blur(kind, family):
    noise = 0.05 if kind == "noise" else NOISE
    found = estimate_kernel(nothing(kind), noise, family=family)
    assert found.confidence < LEAST_CONFIDENCE


def test_the_same_photo_gives_the_same_kernel_and_stays_as_it_is():
    y = photo_of(shake(), side=120)
    before = y.clone()
    first, second = (estimate_kernel(y, NOISE, family="free", size=15) for _ in range(2))
    assert first.kernel.equal(second.kernel)
    assert y.equal(before)
    assert first.description is None


def test_a_size_limits_the_kernel():
    y = photo_of(motion_kernel(21, 0))
    assert estimate_kernel(y, NOISE, family="motion", size=11).size <= 11
    assert estimate_kernel(y, NOISE, family="free", size=11).size == 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": torch.zeros(2, 1, 80, 80)}, "one photo"),
        ({"y": torch.full((1, 1, 80, 80), torch.nan)}, "NaN"),
        ({"y": torch.zeros(1, 1, 40, 80)}, "at least 64x64"),
        ({"noise": -1.0}, "not negative"),
        ({"noise": 25.0}, "25/255"),
        ({"family": "box"}, "choose one of"),
        ({"size": 8}, "odd number"),
        ({"size": 65}, "odd number"),
    ],
)
def test_unusable_arguments_are_refused(change, message):
    given = {"y": torch.rand(1, 1, 80, 80), "noise": 0.01, "family": "disk"} | change
    with pytest.raises(InputError, match=message):
        estimate_kernel(given.pop("y"), given.pop("noise"), **given)


@pytest.mark.parametrize(("ratio", "trusted"), [(1.0, True), (1.9, False)])
def test_a_family_is_doubted_where_a_free_kernel_explains_much_more(monkeypatch, ratio, trusted):
    kernel = motion_kernel(9, 20)

    def better(_, spectrum, *__):
        sharp, blurred = spectrum.evidence([no_blur(), kernel]).tolist()
        return Member("free", (), kernel, sharp + ratio * (blurred - sharp), 20.0)

    monkeypatch.setattr(estimate, "best_free_kernel", better)
    found = estimate_kernel(photo_of(kernel), NOISE)
    assert found.family == "motion"
    assert (found.confidence >= LEAST_CONFIDENCE) is trusted
