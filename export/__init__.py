"""From torch to ONNX with proof: export, verification, and a runtime that needs neither torch nor deepinv.

The names below load on first use: ``import gradprox.export.runtime`` passes through here and must stay light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradprox.export.checks.report import Report, VerificationError
    from gradprox.export.checks.verification import verify
    from gradprox.export.denoiser import export_denoiser
    from gradprox.export.prior import load_prior
    from gradprox.export.solver import export_solver

_HOMES = {
    "Report": "gradprox.export.checks.report",
    "VerificationError": "gradprox.export.checks.report",
    "export_denoiser": "gradprox.export.denoiser",
    "export_solver": "gradprox.export.solver",
    "load_prior": "gradprox.export.prior",
    "verify": "gradprox.export.checks.verification",
}

__all__ = ["Report", "VerificationError", "export_denoiser", "export_solver", "load_prior", "verify"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gradprox.export' has no attribute {name!r}")
