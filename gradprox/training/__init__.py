"""Training learned proximal operators from a folder of images.

Begin with `recipe`, everything that determines a training, and `loop`, which runs it. `initial` makes the network
before the first step; `stored_images` and `patches` make the batches, `losses` and `updates` a step.
"""

from gradprox.training.loop import Progress, train
from gradprox.training.recipe import Recipe, read_recipe

__all__ = ["Progress", "Recipe", "read_recipe", "train"]
