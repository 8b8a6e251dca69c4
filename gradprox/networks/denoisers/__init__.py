"""The networks that denoise images: the architectures of the shipped models.

Begin with `identity_path` (one pass) or `equilibrium` (the prox of an explicit function, found by iterations).
An identity-path network is a filter bank (`filters`) and a shrinkage of its coefficients (`shrinkage`, `gates`,
`mixture`). `conditioning` makes parameters follow the noise level; `config` tells the architectures apart in files.
"""
