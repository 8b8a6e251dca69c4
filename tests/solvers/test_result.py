"""A result prints as one line, whatever the size of its tensors."""

from __future__ import annotations

import torch

from gradprox.solvers import HQS, Result, Status
from gradprox.solvers.discrepancy import DiscrepancyResult

NAN = torch.nan
RECORD = {
    "x": torch.zeros(3, 1, 8, 9),
    "status": [Status.CONVERGED, Status.MAX_ITER, Status.CONVERGED],
    "steps": torch.tensor([1, 2, 1]),
    "objective": torch.tensor([[5.0, 4.0, NAN], [6.0, 3.5, 3.25], [NAN, 7.0, NAN]]),
    "residual": torch.zeros(3, 2),
    "objective_increases": torch.tensor([0, 0, 0]),
    "warm_start_steps": torch.zeros(3, dtype=torch.int64),
    "certified": True,
}


def test_a_result_prints_its_statuses_and_the_range_of_its_figures():
    assert repr(Result(**RECORD)) == (
        "Result(x: 3x1x8x9, status: 2 converged and 1 max_iter, steps: 1 to 2, objective: 3.25 to 7, "
        "objective_increases: 0)"
    )


def test_a_result_without_a_certificate_claims_no_objective():
    one = {name: value[:1] if name not in ("certified",) else False for name, value in RECORD.items()}
    one["objective"] = torch.full((1, 3), NAN)
    assert repr(Result(**one)) == (
        "Result(x: 1x1x8x9, status: 1 converged, steps: 1, objective: nan, objective_increases: not certified)"
    )


def test_a_chosen_strength_is_printed_too():
    assert repr(DiscrepancyResult(**RECORD, strength=0.51234, misfit=1.0)).endswith(
        "objective_increases: 0, strength: 0.512, misfit: 1)"
    )


def test_an_empty_batch_prints(make_network, make_image):
    from gradprox.physics import HadamardSensing
    from gradprox.priors import LearnedProx

    physics = HadamardSensing((8, 9), 40)
    result = HQS(sigma=0.1, max_iter=2)(physics.A(make_image(8, 9)), physics, LearnedProx(make_network()))
    assert len(repr(result)) < 150
    empty = {name: value[:0] if name != "certified" else value for name, value in RECORD.items()}
    assert "steps: none" in repr(Result(**empty))
