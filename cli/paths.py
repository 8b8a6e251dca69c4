"""Which files a batch reads, and which it writes."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gradprox.cli.option_values import is_folder_name
from gradprox.errors import InputError


def readable_suffixes() -> tuple[str, ...]:
    """Return the suffixes of the images that are taken from a folder: those that can be read."""
    from gradprox.images import IMAGE_SUFFIXES, READ_ONLY_SUFFIXES

    return *IMAGE_SUFFIXES, *READ_ONLY_SUFFIXES


@dataclass
class Plan:
    """The work of a batch, and the inputs that it leaves out.

    Attributes:
        pairs: inputs and their outputs.
        refused: why an input is left out, by input: a file, a folder or a pattern.
    """

    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)

    def leave_out_missing(self) -> None:
        """Refuse the inputs that do not exist."""
        for source, _ in self.pairs:
            if not source.exists():
                self.refused[source] = f"{source}: no such file"
        self.pairs = [pair for pair in self.pairs if pair[0].exists()]

    def keep_existing(self, targets: Iterable[Path]) -> None:
        """Refuse the inputs whose output is one of ``targets``, which exist already."""
        existing = {*targets}
        for source, target in self.pairs:
            if target in existing:
                self.refused[source] = (
                    f"{source}: left out, because {target} exists already: add --overwrite to replace it, or --resume "
                    "to keep it"
                )
        self.pairs = [pair for pair in self.pairs if pair[1] not in existing]


def collect_inputs(inputs: Sequence[Path], suffixes: Sequence[str]) -> tuple[list[Path], dict[Path, str]]:
    """Return the files that arguments stand for: files, the files of folders, and the matches of patterns.

    Args:
        inputs: files, folders and patterns such as ``shots/*.png``.
        suffixes: suffixes of the files that are taken from a folder.

    Returns:
        The files, and the arguments that stand for none, with the reason: a folder has no file with one of the
        suffixes, or a pattern matches no file.
    """
    from gradprox.images import images_in

    found: list[Path] = []
    refused: dict[Path, str] = {}
    for path in inputs:
        if path.is_dir():
            try:
                found += images_in(path, suffixes)
            except InputError as error:
                refused[path] = str(error)
        elif path.exists() or not set("*?[") & set(str(path)):
            found.append(path)
        else:
            matches = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
            if not matches:
                refused[path] = f"{path}: matches no file"
            found += [match for match in matches if match.is_file()]
    return list(dict.fromkeys(found)), refused


def plan_outputs(inputs: Sequence[Path], output: str | Path, suffix: str | None = None) -> Plan:
    """Pair inputs with outputs. An input that would have the output of an earlier one is refused.

    One input goes to the file ``output``. It goes into the folder ``output`` under its own name if that is a folder,
    ends in a slash or has no suffix. Several inputs always go into a folder. Inputs in a format that cannot be written
    become ``.png``.

    Args:
        inputs: the files to read.
        output: a file or a folder.
        suffix: the suffix of outputs in a folder; that of each input if None.

    Raises:
        InputError: several inputs for one file, or an output in an unknown format.
    """
    from gradprox.images import check_image_suffix

    if not str(output):
        raise InputError("the name of the output is empty")
    if str(output) == "-":
        raise InputError("-: outputs are not written to standard output: name a file or a folder")
    path = Path(output)
    into_folder = is_folder_name(output) or len(inputs) > 1 or not path.suffix
    if into_folder and not path.is_dir() and not is_folder_name(output):
        # Several inputs, or a name without a suffix: an image's name would be a mistake, and so would a file.
        if path.exists():
            raise InputError(f"{path}: is a file, not a folder")
        if _is_writable(path, suffix):
            raise InputError(f"{path}: several images need a folder, not one file")
    plan, taken = Plan(), dict[Path, Path]()
    for source in inputs:
        if not into_folder:
            target = path
        elif suffix is not None:
            target = path / source.with_suffix(suffix).name
        else:
            target = path / source.name
            target = target if _is_writable(target) else target.with_suffix(".png")
        if suffix == ".npz" and target.suffix.lower() != suffix:
            raise InputError(f"{target}: measurements are written to a .npz file")
        check_image_suffix(target)
        if target in taken:
            plan.refused[source] = (
                f"{source}: left out, because {taken[target]} is written to {target} too: use another folder for it"
            )
        else:
            taken[target] = source
            plan.pairs.append((source, target))
    return plan


def planned_beside(
    inputs: Sequence[Path],
    output: str,
    further: str | None,
    message: str,
    *,
    suffix: str | None = None,
    output_suffix: str | None = None,
    read: Sequence[str] | None = None,
) -> dict[Path, Path]:
    """Return a further file of each input, beside its output; none if ``further`` is None.

    Args:
        inputs: files, folders and patterns.
        output: the output, as `plan_outputs` takes it.
        further: the further file, or a folder for several.
        message: of the error.
        suffix: of further files in a folder; that of the input if None.
        output_suffix: of outputs in a folder; that of the input if None.
        read: suffixes of the files that are taken from a folder; those of images if None.

    Raises:
        InputError: a further file is an output, or that of two inputs.
    """
    if further is None:
        return {}
    sources, _ = collect_inputs(inputs, readable_suffixes() if read is None else read)
    outputs = dict(plan_outputs(sources, output, output_suffix).pairs)
    plan = plan_outputs(list(outputs), further, suffix)
    files = dict(plan.pairs)
    if {*files.values()} & {*outputs.values()}:
        raise InputError(message)
    for source in plan.refused:
        raise InputError(
            f"{source}: another input has the same name in {further}: give one of them in a command of its own, with "
            "another folder"
        )
    return files


def exported_file(path: Path) -> Path:
    """Return an exported file: the path itself, or the model in a folder that ``gradprox export --layout`` wrote.

    Raises:
        InputError: the folder holds none, or several.
    """
    if not path.is_dir():
        return path
    # A hub folder, a model of a Triton repository, and the repository.
    found = [path / "model.onnx"] if (path / "model.onnx").is_file() else []
    found = found or sorted(path.glob("[0-9]*/model.onnx")) or sorted(path.glob("*/[0-9]*/model.onnx"))
    if not found:
        raise InputError(f"{path}: holds no exported model: name a .onnx file")
    if len(found) > 1:
        raise InputError(f"{path}: holds {len(found)} models: name one, for example {found[0]}")
    return found[0]


def check_absent(target: Path, overwrite: bool) -> None:
    """Refuse an output that exists already, unless it may be overwritten.

    Raises:
        InputError: it exists.
    """
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists already: add --overwrite to replace it")


def _is_writable(path: Path, suffix: str | None = None) -> bool:
    from gradprox.images import check_image_suffix

    if suffix is not None and path.suffix.lower() == suffix:
        return True
    try:
        check_image_suffix(path)
    except InputError:
        return False
    return True
