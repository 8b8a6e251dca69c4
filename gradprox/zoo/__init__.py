"""The models that ship with gradprox.

A model ``NAME`` has three files: its weights (``NAME.safetensors``), its card with figures (``NAME.json``) and the
recipe of its training (``NAME.toml``). `models` reads them.
"""

from gradprox.zoo.models import Card, default_model, load_model, model_names, read_card, recipe_path

__all__ = ["Card", "default_model", "load_model", "model_names", "read_card", "recipe_path"]
