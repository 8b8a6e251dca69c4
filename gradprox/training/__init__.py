"""Training learned proximal operators from a folder of images, clean or noisy.

Begin with `recipe`, everything that determines a training, and `loop`, which runs it; `fine_tuning` makes the recipe of
the common case. `initial` makes the network before the first step. `data` reads the images (`stored_images`,
`noisy_images`), and `patches` draws the batches. `trainer` takes a step by `losses` or `unsupervised`, and `updates`.
`validation` judges, and `record` writes what there is to show.
"""

from gradprox.training.fine_tuning import default_initial, fine_tuning, without_clean_images
from gradprox.training.loop import Progress, train
from gradprox.training.recipe import Recipe, read_recipe

__all__ = [
    "Progress",
    "Recipe",
    "default_initial",
    "fine_tuning",
    "read_recipe",
    "train",
    "without_clean_images",
]
