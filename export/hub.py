"""A folder for a model hub: an exported file, the weights, the recipe of the training, and a model card."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from gradprox.export.runtime import container
from gradprox.export.triton import layout_name
from gradprox.files import folder_written_whole
from gradprox.zoo import Card, model_names, read_card, recipe_path

INSTALL = "Install gradprox (Python 3.10 or newer): `pip install .` in a checkout of its repository."
INSTALL_RUNTIME = (
    "Install gradprox-runtime (Python 3.10 or newer, without torch): `pip install ./runtime` in a checkout of the "
    "repository of gradprox."
)
USE_MODEL = f"""\
{INSTALL}

```python
import gradprox

D = gradprox.load_model("model.safetensors")  # D(y, sigma), for images with values in [0, 1]
```

Or in ONNX Runtime. {INSTALL_RUNTIME}

```python
from gradprox.export.runtime import OnnxDenoiser

D = OnnxDenoiser("model.onnx")  # D(y, sigma), for float32 arrays (batch, channels, height, width)
```
"""
USE_SOLVER = f"""\
{INSTALL_RUNTIME}

```python
from gradprox.export.runtime import OnnxSolver

S = OnnxSolver("model.onnx")
restored = S({{arguments}})  # float32 arrays; the result has x, status, steps and objective
```
"""
ARGUMENTS = {"deblur": "photo, kernel, noise=0.01", "cs": "measurements, noise=0.01"}
TASKS = {"deblur": "deblurring", "cs": "compressed-sensing"}


def write_hub_folder(file: str | Path, folder: str | Path, *, replace: bool = False) -> None:
    """Write a folder that can be uploaded to a model hub.

    It has ``model.onnx``, ``model.safetensors`` (the weights), ``README.md`` (the model card) and, for a shipped model,
    ``recipe.toml``. The head of the card is YAML: license, library, tags, task and figures. A model that is not shipped
    has no figures, recipe or license.

    Args:
        file: an exported file.
        folder: the folder to write.
        replace: whether to replace an existing folder.

    Raises:
        InputError: the file was not exported by gradprox, or is damaged.
        OSError: the folder exists already, or cannot be written.
    """
    _, metadata = container.read(file)
    card = _card_of(metadata)
    with folder_written_whole(folder, replace=replace) as temporary:
        shutil.copyfile(file, temporary / "model.onnx")
        (temporary / "model.safetensors").write_bytes(base64.b64decode(metadata["weights"]))
        if card is not None:
            shutil.copyfile(recipe_path(card.name), temporary / "recipe.toml")
        (temporary / "README.md").write_text(model_card(metadata, card), encoding="utf-8")


def _card_of(metadata: dict[str, str]) -> Card | None:
    """Return the card of the model in a file, if it is a shipped one: another model may have the same name."""
    card = read_card(metadata["name"]) if metadata["name"] in model_names() else None
    return card if card is not None and card.sha256 == metadata["weights_sha256"] else None


def model_card(metadata: dict[str, str], card: Card | None) -> str:
    """Return the text of the model card.

    Args:
        metadata: those of the exported file.
        card: the card of the shipped model in the file; None if it is none.
    """
    problem = metadata.get("problem")
    head = _head(metadata, card)
    # Every JSON value is a YAML value, too.
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in head.items()), "---", ""]
    lines += [f"# {layout_name(metadata)}", ""]
    if problem is not None:
        lines += [
            f"A solver for {TASKS[problem].replace('-', ' ')}: {metadata['algorithm']} around the model "
            f"{metadata['name']}, as one ONNX file.",
            "",
        ]
    if card is not None:
        lines += [card.summary, "", f"Guarantee: {card.guarantee}", ""]
    lines += ["## Use", ""]
    lines += [USE_MODEL if problem is None else USE_SOLVER.format(arguments=ARGUMENTS[problem])]
    if card is not None:
        lines += [*_figures(card), f"Training images: {card.data}.", "", f"License: {card.license}.", ""]
    return "\n".join(lines)


def _head(metadata: dict[str, str], card: Card | None) -> dict[str, Any]:
    """Return what hubs read from a card. The figures are those of a denoiser, so a solver has none."""
    problem = metadata.get("problem")
    head: dict[str, Any] = {} if card is None else {"license": card.license.partition(";")[0].lower()}
    head |= {
        "library_name": "gradprox",
        "pipeline_tag": "image-to-image",
        "tags": [
            "image-restoration",
            "denoising" if problem is None else TASKS[problem],
            "plug-and-play",
            "onnx",
        ],
    }
    if card is None or problem is not None:
        return head
    results = [
        {
            "task": {"type": "image-to-image", "name": "denoising"},
            "dataset": {"type": test_set.lower(), "name": f"{test_set}, noise of {level}/255"},
            "metrics": [{"type": "psnr", "name": "mean PSNR in dB", "value": value}],
        }
        for test_set, figures in card.psnr.items()
        for level, value in figures.items()
    ]
    return head | {"model-index": [{"name": card.name, "results": results}]}


def _figures(card: Card) -> list[str]:
    """Return the table of the figures of a model as a denoiser."""
    levels = list(next(iter(card.psnr.values())))
    rows = [
        ["noise level of 255", *levels],
        ["---"] * (1 + len(levels)),
        *(
            [test_set, *(f"{figures[level]:.2f}" for level in levels)]
            for test_set, figures in card.psnr.items()
        ),
    ]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    return ["## Figures", "", f"Mean PSNR in dB of {card.name} as a denoiser:", "", *table, ""]
