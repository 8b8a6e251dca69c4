"""The models that ship with gradprox, each with its card and the recipe that made it."""

from gradprox.zoo.models import Card, default_model, load_model, model_names, read_card, recipe_path

__all__ = ["Card", "default_model", "load_model", "model_names", "read_card", "recipe_path"]
