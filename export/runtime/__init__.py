"""Deployed models: numpy and onnxruntime, nothing else.

``D = OnnxDenoiser("denoiser.onnx")`` is called as ``D(y, 25 / 255)``, ``S = OnnxSolver("solver.onnx")`` as
``S(y, kernel, sigma=0.03).x``.
"""

from gradprox.export.runtime.denoiser import OnnxDenoiser
from gradprox.export.runtime.session import find_provider
from gradprox.export.runtime.solver import OnnxSolver, Restoration

__all__ = ["OnnxDenoiser", "OnnxSolver", "Restoration", "find_provider"]
