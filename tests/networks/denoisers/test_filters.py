"""The filter bank: exact adjoint, proven norm, tight frame at the start, closed under flips."""

from __future__ import annotations

import pytest
import torch

from gradprox.networks.denoisers.filters import MirrorFilterBank, fourier_norm_bound, mirrored_cosines


def test_bound_is_never_below_the_norm_and_close_to_it():
    for _ in range(50):
        filters = torch.randn(5, 5, 4, dtype=torch.float64)
        fine = torch.fft.fft2(filters, s=(1024, 1024)).abs().square().sum(0).max().sqrt()
        bound = fourier_norm_bound(filters)
        assert fine <= bound <= 1.01 * fine


def test_an_unscaled_grid_maximum_would_be_an_underestimate():
    # A filter whose response peaks between the grid's frequencies.
    frequency = 2 * torch.pi * 40.5 / 256
    taps = torch.cos(frequency * torch.arange(64, dtype=torch.float64))[None, None]
    on_grid = torch.fft.fft(taps, n=256).abs().max()
    fine = torch.fft.fft(taps, n=1 << 16).abs().max()
    assert on_grid < fine <= fourier_norm_bound(taps)


def test_too_large_filters_are_refused():
    with pytest.raises(ValueError, match="too large"):
        fourier_norm_bound(torch.ones(1, 200, 3))


@pytest.mark.parametrize("pairs", [1, 7, 8, 18])
def test_fewer_pairs_are_those_of_the_lowest_frequencies(pairs):
    bank, (filters, parities) = MirrorFilterBank(6, pairs=pairs), mirrored_cosines(6)
    torch.testing.assert_close(bank.weight.flip(-1, -2), bank.parities * bank.weight)
    assert int((bank.parities > 0).sum()) == (pairs + 1) // 2
    # The squared slopes of a wave grow with its frequency.
    slopes = (filters.diff(dim=-1).square().sum((1, 2)) + filters.diff(dim=-2).square().sum((1, 2))).tolist()
    stored = [tuple(w.flatten().tolist()) for w in bank.weight]
    for sign in (1, -1):
        own = [i for i in range(18) if int(parities[i]) == sign]
        kept = {i for i in own if tuple(filters[i].flatten().tolist()) in stored}
        assert len(kept) == (pairs + (sign > 0)) // 2
        if kept and len(kept) < len(own):
            assert min(slopes[i] for i in set(own) - kept) > 0.5 * max(slopes[i] for i in kept)


@pytest.mark.parametrize("k", [2, 4, 8])
def test_synthesis_is_the_adjoint_of_analysis(k):
    bank = MirrorFilterBank(k).double()
    filters = bank.filters()
    x = torch.randn(2, 1, 14, 11, dtype=torch.float64)
    z = torch.randn(2, bank.channels, 14 - k + 1, 11 - k + 1, dtype=torch.float64)
    # `synthesize` needs every coefficient of filters that touch a pixel; those beyond the frame are zero here.
    padded = torch.nn.functional.pad(z, (k - 1,) * 4)
    left = (bank.analyze(x, filters) * z).sum()
    right = (x * bank.synthesize(padded, filters)).sum()
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("k", [2, 4, 8])
def test_the_start_is_a_tight_frame_without_the_constant(k):
    filters, parities = mirrored_cosines(k)
    filters = filters.double()
    bank = torch.cat([filters, filters.flip(-1)]).flatten(1)
    gram = bank.T @ bank
    constant = torch.full((k * k,), 1 / k, dtype=torch.float64)
    expected = torch.eye(k * k, dtype=torch.float64) - constant[:, None] * constant
    torch.testing.assert_close(gram, expected, rtol=0, atol=1e-6)
    turned = parities[:, None, None] * filters.flip(-1, -2)
    torch.testing.assert_close(turned, filters, rtol=0, atol=1e-6)


def test_filters_have_norm_at_most_one_and_zero_mean_whatever_the_weights():
    bank = MirrorFilterBank(6).double()
    for spread in (0.0, 1.0, 1e6, 1e-12):
        with torch.no_grad():
            bank.weight.copy_(spread * torch.randn_like(bank.weight))
        filters = bank.filters()
        assert torch.isfinite(filters).all()
        power = torch.fft.fft2(filters[:, 0], s=(512, 512)).abs().square().sum(0).max()
        assert power <= 1 + 1e-9
        assert filters.mean((-1, -2)).abs().max() <= 1e-12
