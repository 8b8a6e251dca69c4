"""The networks that denoise images: the architectures of the shipped models.

There are three, each in a module whose head derives it. Begin with `identity_path`.

* `identity_path`: one pass over the image; monotone, hence a proximal operator. It consists of a filter bank
  (`filters`, with `color_planes` for color images) and a shrinkage of the coefficients. `shrinkage` is the contract of
  shrinkages; `ridge`, `energy_gate` (both with the gates of `gates` and `gate_terms`) and `mixture` (with the levels of
  `mixture_levels`) implement it.
* `equilibrium`: the proximal operator of an explicit regularizer, found by the iterations of `descent`; `implicit` and
  `implicit_functions` differentiate it.
* `deep_potential`: one gradient step on the energy of a U-Net (`unet`); not monotone.

`config` tells the architectures apart in files and recipes. `conditioning` makes parameters depend on the noise level,
and `coupling` holds the operations on channels that several shrinkages share.
"""
