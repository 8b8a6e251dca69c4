"""Deployed models: numpy and onnxruntime, nothing else.

``D = OnnxDenoiser("denoiser.onnx")`` is called as ``D(y, 25 / 255)``.
"""

from gradprox.export.runtime.denoiser import OnnxDenoiser

__all__ = ["OnnxDenoiser"]
