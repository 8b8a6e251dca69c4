"""ONNX graphs from torch: nothing here runs or verifies a model.

Begin with `denoiser_graph` for a network of one pass, `equilibrium_graph` for a network that iterates, and for
solvers around a network of one pass `solver_graph` (PGD or GD alone), `preset_graph` (the presets that end with
HQS) and `sensing_graph` (that of compressed sensing by FISTA). All of them trace torch modules (`tracing`). All but
the first put the traced parts around an ONNX ``Loop`` (`loop`). `solver_steps`, `hqs_steps`, `preset_steps` and
`sensing_steps` hold the modules that solvers are traced from, `hqs_graph` joins those of HQS to solvers, `frame`
holds the inputs and outputs that solvers share, and `recipe` the numbers of a preset. `problem` holds the forward
operators, and `equations` their least-squares fits; `blur` and `fourier_blur` are the blurs among them. `precision`
rewrites a denoiser in float16.
"""
