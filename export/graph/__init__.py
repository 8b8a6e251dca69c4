"""ONNX graphs from torch: nothing here runs or verifies a model.

Begin with `denoiser_graph` for a network of one pass, `equilibrium_graph` for a network that iterates, and
`solver_graph` for a solver around a network of one pass. All of them trace torch modules (`tracing`). The last two put
the traced parts around an ONNX ``Loop`` (`loop`). `solver_steps` holds the modules that a solver is traced from,
`problem` the forward operators it may have, and `blur` the convolutions among these. `precision` rewrites a denoiser
in float16.
"""
