"""ONNX graphs from torch: nothing here runs or verifies a model.

Begin with `denoiser_graph` for a network of one pass, `equilibrium_graph` for a network that iterates, and
`preset_graph` for solvers around a network of one pass. All of them trace torch modules (`tracing`). All but the first
put the traced parts around an ONNX ``Loop`` (`loop`). `parts` has the loop of a solver, and `algorithms` the steps
inside it. `algorithm_steps`, `solver_steps`, `fit_steps` and `preset_steps` hold the modules that solvers are traced
from, and `pieces` the names of their inputs. `frame` holds the inputs and outputs that solvers share, and `recipe` the
numbers of a preset. `problem` holds the forward operators, and `equations` their least-squares fits; `blur`,
`fourier_blur` and `mirrored_blur` are the blurs among them. `precision` rewrites a denoiser in float16.
"""
