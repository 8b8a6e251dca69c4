"""Verification: does an ONNX file compute the same function as the torch network or solver it was made from?

Begin with `verification` (`verify` checks a file). `denoiser_check`, `equilibrium_check` and `solver_check` compare one
kind of model with torch in double precision, on the inputs of `cases`. `jacobian` takes Jacobians by differences,
`double_precision` evaluates a graph in float64, and `low_precision` measures the effect of float16. `report`
holds the figures.
"""
