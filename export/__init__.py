"""Export to ONNX: a denoiser or a whole solver becomes one verified file, which runs without torch.

Begin with `denoiser` (`export_denoiser`), `solver` (`export_solver`), and `prior` (`load_prior`, an exported denoiser
in the solvers of this package). `onnx_file` writes files and their metadata, and `triton` and `hub` the folders in
which servers and hubs expect them. Three folders hold the rest:

* `graph` builds ONNX graphs from torch networks and solvers;
* `checks` verifies that a graph computes the same function as its network, and stores figures in a report;
* `runtime` runs the files. It imports numpy and onnxruntime only.

The names below load on first use, so that ``import gradprox.export.runtime`` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradprox.export.checks.report import Report, VerificationError
    from gradprox.export.checks.verification import verify
    from gradprox.export.denoiser import export_denoiser
    from gradprox.export.hub import write_hub_folder
    from gradprox.export.prior import load_prior
    from gradprox.export.solver import export_solver
    from gradprox.export.triton import write_triton_model

_HOMES = {
    "Report": "gradprox.export.checks.report",
    "VerificationError": "gradprox.export.checks.report",
    "export_denoiser": "gradprox.export.denoiser",
    "export_solver": "gradprox.export.solver",
    "load_prior": "gradprox.export.prior",
    "verify": "gradprox.export.checks.verification",
    "write_hub_folder": "gradprox.export.hub",
    "write_triton_model": "gradprox.export.triton",
}

__all__ = [
    "Report",
    "VerificationError",
    "export_denoiser",
    "export_solver",
    "load_prior",
    "verify",
    "write_hub_folder",
    "write_triton_model",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gradprox.export' has no attribute {name!r}")
