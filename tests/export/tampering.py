"""Exported files with something changed in them, sealed with a checksum that fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import ModelProto, helper

from gradprox.export.runtime import container


def tampered(source: Path, target: Path, change: Callable[[ModelProto], None]) -> Path:
    """Write a changed model with a checksum that fits."""
    model = onnx.load(source)
    change(model)
    kept = [p for p in model.metadata_props if p.key != "gradprox.sha256"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    target.write_bytes(container.seal(model.SerializeToString()))
    return target


def say(**entries: str | None) -> Callable[[ModelProto], None]:
    """Change what a file says of itself; leave out what is ``None``."""

    def change(model: ModelProto) -> None:
        for key, value in entries.items():
            (entry,) = (entry for entry in model.metadata_props if entry.key == f"gradprox.{key}")
            if value is None:
                model.metadata_props.remove(entry)
            else:
                entry.value = value

    return change


def followed_by(operator: str, output: str) -> Callable[[ModelProto], None]:
    """Change an output by one more operation."""

    def change(model: ModelProto) -> None:
        for node in model.graph.node:
            for position, name in enumerate(node.output):
                if name == output:
                    node.output[position] = "before"
        model.graph.node.append(helper.make_node(operator, ["before"], [output]))

    return change
