"""Learned proximal operators with proofs: monotone gradient networks for plug-and-play image restoration.

Begin with `load_model`, which returns a shipped model as a prior. The packages are ``networks`` (gradient networks),
``priors`` (a network as a prox or an energy), ``physics`` (forward operators), ``noise`` (of cameras), ``solvers``,
``posterior`` (how certain a restoration is), ``blind`` (estimation of blur kernels), ``certificates``, ``training``,
``zoo`` (shipped models), ``images`` (reading and writing), ``kernels`` (of blur), ``export`` (ONNX) and ``cli``.

The names below and the packages are imported on first use, so that ``import gradprox`` and ``gradprox --help`` do not
import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from gradprox._version import __version__
from gradprox.dependencies import dependencies

if TYPE_CHECKING:
    from gradprox.errors import InputError
    from gradprox.images import example_image
    from gradprox.memory import keep_freed_memory
    from gradprox.priors import LearnedProx
    from gradprox.zoo import load_model, model_names

_HOMES = {
    "InputError": "gradprox.errors",
    "LearnedProx": "gradprox.priors",
    "example_image": "gradprox.images",
    "keep_freed_memory": "gradprox.memory",
    "load_model": "gradprox.zoo",
    "model_names": "gradprox.zoo",
}

_PACKAGES = {
    "blind",
    "certificates",
    "export",
    "images",
    "kernels",
    "networks",
    "noise",
    "physics",
    "posterior",
    "priors",
    "solvers",
    "training",
    "zoo",
}

__all__ = [
    "InputError",
    "LearnedProx",
    "__version__",
    "example_image",
    "keep_freed_memory",
    "load_model",
    "model_names",
]


def __getattr__(name: str) -> object:
    with dependencies():
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        if name in _PACKAGES:
            return importlib.import_module(f"gradprox.{name}")
    raise AttributeError(f"module 'gradprox' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names above too, which interactive shells complete before their first use."""
    return sorted({*globals(), *_HOMES, *_PACKAGES})
