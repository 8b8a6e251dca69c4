"""The networks of the paper "Gradient Networks" (arXiv 2404.07361): any shape of input, dense or convolutional.

Begin with `gradnet_c` (cascaded) and `gradnet_m` (modular). Both are built from an analysis operator ``W x + b``
(`analysis`, `convolution`) and an activation (`activation` is the contract; `elementwise`, `group`, `radial`, `cascade`
and `modules` implement it) by the rule in `composed`. `sums` adds networks; `config` describes one in a file.
"""
