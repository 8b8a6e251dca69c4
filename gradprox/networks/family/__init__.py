"""The networks of the paper "Gradient Networks" (arXiv 2404.07361): any shape of input, dense or convolutional.

Begin with `gradnet_c` (cascaded) and `gradnet_m` (modular). Both follow the rule of `composed`, ``W^T g(W x + b) + a``:

* `analysis` and `convolution`: the operator ``W x + b``, dense or convolutional.
* `activation`: the contract of ``g``. `elementwise`, `group` and `radial` implement it. `cascade` and `module_stack`
  combine activations into the ``g`` of GradNet-C and GradNet-M; `outer_derivatives` belong to the modules.
* `sums`: sums of networks. `blind`: the base class of networks that ignore the noise level.
* `config`: the description of a network in a model file. `quadrature`: the potential of cascades.
"""
