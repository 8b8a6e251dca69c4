"""ONNX graphs from torch: nothing here runs or verifies a model.

Begin with `denoiser_graph` for a network of one pass, `equilibrium_graph` for a network that iterates, and
`preset_graph` for solvers around a network of one pass. All of them trace torch modules (`tracing`). All but the first
put the traced parts around an ONNX ``Loop`` (`loop`). `parts` has the loop of a solver, and the steps inside it are in
`hqs_graph`, `gradient_graph` (GD and NMAPG) and `proximal_graph` (PGD and FISTA). Their base is `solver_graph`, and
`graph_solvers` lists them. The modules that they are traced from are in `hqs_steps`, `gradient_steps` and
`proximal_steps`, those that all share in `solver_steps`, `fit_steps` and `preset_steps`, and the names of their inputs
in `pieces`. `frame` holds the inputs and outputs that solvers share, and `recipe` the numbers of a preset. `problem`
holds the forward operators, and `equations` their least-squares fits; `blur`, `fourier_blur` and `mirrored_blur` are
the blurs among them. `precision` rewrites a denoiser in float16.
"""
