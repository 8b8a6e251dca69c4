"""Certify your own network: claims that hold by construction, and a false claim that is refuted."""

from __future__ import annotations

import torch

from gradprox.certificates import certify
from gradprox.networks import GradNetM, MGradNetC

torch.manual_seed(0)
points = torch.randn(2, 6, dtype=torch.float64)
monotone = MGradNetC.dense(dim=6, hidden=12).double()
certificate = certify(monotone, points)
print(certificate.table())
assert certificate.passed

# This network is the gradient of a potential that is not convex. The claim that it is monotone is refuted.
refuted = certify(GradNetM.dense(dim=6, hidden=12).double(), points, monotone=True)
print(f"\nclaimed to be monotone: {'; '.join(refuted.failures)}")
assert not refuted.passed
