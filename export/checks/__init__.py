"""Verification: does an ONNX file compute the same function as the torch network or solver it was made from?

Begin with `verification` (`verify` checks a file). `denoiser_check`, `equilibrium_check` and
`preset_check` compare one kind of model with torch in double precision. `cases` holds the inputs of denoisers,
`preset_cases` the runs of presets, and `solver_comparison` is shared by the last two. `rough_energy` makes line
searches necessary. `jacobian` takes Jacobians by differences, `double_precision` evaluates a graph in float64, and
`low_precision` measures the effect of float16. `report` holds the figures.
"""
