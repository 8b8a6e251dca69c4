"""Training learned proximal operators from a folder of images."""

from gradprox.training.loop import Progress, train
from gradprox.training.recipe import Recipe, read_recipe

__all__ = ["Progress", "Recipe", "read_recipe", "train"]
