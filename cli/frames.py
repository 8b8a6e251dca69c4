"""Restoring every image of a file: the pages of a stack, the frames of an animation, or the one image of another file.

The finished images of a stack are kept in a hidden folder beside the output until all are done, so memory holds one
image at a time, and an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from gradprox.cli import options
from gradprox.cli.jobs import Record, Work, save
from gradprox.cli.meter import Watch
from gradprox.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradprox.images import ImageData, Kinds, Stack

TOGETHER, SEPARATE = "together", "separate"
CHANNELS = (TOGETHER, SEPARATE)
Channels = Annotated[
    str,
    typer.Option(
        autocompletion=options.completed(CHANNELS),
        metavar="HOW",
        help="together: gray images, and images of red, green and blue. separate: each channel as a gray image of its "
        "own, for TIFF files of any number of channels.",
    ),
]

# Estimates the map of the uncertainty of a restored image; returns it, as it is written, and its figures for a report.
Draw = Callable[[], tuple["ImageData", Record]]


class Restored(NamedTuple):
    """A restored image.

    Attributes:
        image: with the metadata of the input.
        record: the figures to report.
        draw: estimates the map of its uncertainty; None if none is wanted.
    """

    image: ImageData
    record: Record
    draw: Draw | None = None


# Restores an image of a file, and tells of its progress.
RestoreImage = Callable[["ImageData", Path, Watch], Restored]


@dataclass(frozen=True)
class Frames:
    """How a job treats the images of a file.

    Attributes:
        channels: `TOGETHER` or `SEPARATE`.
        resume: whether to go on with the finished images of an interrupted run.
        settings: those of the job: finished images of other settings are of no use.
        maps: where to write the maps of uncertainty, by file.
        single: why a file must hold one image only, by file.
    """

    channels: str = TOGETHER
    resume: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    maps: Mapping[Path, Path] = field(default_factory=dict)
    single: Mapping[Path, str] = field(default_factory=dict)

    def work(self, restore: RestoreImage) -> Work:
        """Return the function that restores every image of a file and writes the result."""
        return functools.partial(self._work, restore)

    def _work(self, restore: RestoreImage, source: Path, target: Path, show: Watch) -> Record:
        with _advising():
            return self._work_on(restore, source, target, show)

    def _work_on(self, restore: RestoreImage, source: Path, target: Path, show: Watch) -> Record:
        from gradprox.images import check_stack_target, open_stack

        separate = self.channels == SEPARATE
        stack = open_stack(source, separate=separate)
        kinds = stack.check() if stack.count > 1 or separate else None
        charts = [self.maps[source]] if source in self.maps else []
        if kinds is None:
            (image,) = stack.images()
            return finish(restore(image, source, show), target, *charts)
        for file in (target, *charts):
            check_stack_target(file, stack, kinds)
        if stack.count > 1 and source in self.single:
            raise InputError(f"{source}: {self.single[source]}")
        return self._restore_all(restore, stack, kinds, target, show)

    def _restore_all(
        self, restore: RestoreImage, stack: Stack, kinds: Kinds, target: Path, show: Watch
    ) -> Record:
        """Restore the images of a stack one by one, and write them as one file."""
        from gradprox.cli.unfinished import Unfinished  # imports numpy, which --help does without
        from gradprox.images import write_stack

        source = stack.path
        unfinished = Unfinished.of(source, target, self.settings, resume=self.resume)
        with unfinished.kept(stack.count):
            for number, image in enumerate(stack.images()):
                if number >= unfinished.count:
                    with _numbering(source, number, stack.count):
                        unfinished.add(*self._restored(restore, image, source, show, number, stack.count))
        images = (image.with_pixels(unfinished.pixels(n)) for n, image in enumerate(stack.images()))
        lost = write_stack(target, images, stack, kinds)
        records = unfinished.records()
        record: Record = {"images": records, "warnings": _common_warnings(records), "not_kept": list(lost)}
        if unfinished.unused:
            record["warnings"].append(f"began with the first image again, because {unfinished.unused}")
        if source in self.maps:
            write_stack(self.maps[source], unfinished.maps(), stack, replace(kinds, alpha=False))
            record["uncertainty"] = str(self.maps[source])
        unfinished.remove()
        return {name: value for name, value in record.items() if value}

    def _restored(
        self, restore: RestoreImage, image: ImageData, source: Path, show: Watch, number: int, count: int
    ) -> tuple[NDArray[Any], ImageData | None, Record]:
        """Restore one image of a stack, and draw its map; return its pixels, the map, and the figures of both."""
        import numpy as np

        from gradprox.images import ImageData

        planes = image.array.shape[1] if self.channels == SEPARATE else 1
        parts, charts, records = [], [], []
        for plane, pixels in enumerate(np.split(image.array, planes, axis=1)):
            show.begin(number * planes + plane, count * planes)
            restored = restore(ImageData(pixels, image.bit_depth, None, image.metadata), source, show)
            record = restored.record
            parts.append(restored.image.array)
            if restored.draw is not None:
                chart, figures = restored.draw()
                charts.append(chart)
                record = record | figures
            records.append(record)
        drawn = None
        if charts:
            drawn = ImageData(np.concatenate([c.array for c in charts], axis=1), charts[0].bit_depth)
        record = records[0] if planes == 1 else {"channels": records}
        return np.concatenate(parts, axis=1), drawn, record


def finish(restored: Restored, target: Path, chart: Path | None = None) -> Record:
    """Write a restored image, then estimate and write the map of its uncertainty; return the figures of both.

    Args:
        restored: the image, and how its map is drawn.
        target: where to write the image.
        chart: where to write the map.

    Raises:
        KeyboardInterrupt: Ctrl-C came during the estimate; the message says that the image is kept.
    """
    from gradprox.images import write_image

    image, record, draw = restored
    record = record | save(target, image)
    if chart is None or draw is None:
        return record
    try:
        drawn, figures = draw()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{target} is complete, but the map of its uncertainty is missing; run the command again with --resume to "
            "draw it"
        ) from None
    write_image(chart, drawn)
    return record | {"uncertainty": str(chart)} | figures


@contextmanager
def _advising() -> Iterator[None]:
    """Add the option that helps to an error about the number of channels.

    Raises:
        InputError: the block raised one.
    """
    from gradprox.images.deep import TooManyChannelsError

    try:
        yield
    except TooManyChannelsError as error:
        raise InputError(f"{error}, or add --channels separate to restore each as a gray image") from error


@contextmanager
def _numbering(source: Path, number: int, count: int) -> Iterator[None]:
    """Put the number of an image in a stack into an error.

    Raises:
        InputError: the block raised one.
    """
    try:
        yield
    except InputError as error:
        said = str(error).removeprefix(f"{source}: ")
        raise InputError(f"{source}: image {number + 1} of {count}: {said}") from error


def _common_warnings(records: Sequence[Record]) -> list[str]:
    """Return the warnings of the images of a stack, each once, with the numbers of the images."""
    numbers: dict[str, list[int]] = {}
    for number, record in enumerate(records, start=1):
        for part in record.get("channels", [record]):
            for warning in part.get("warnings", ()):
                numbers.setdefault(warning, []).append(number)
    return [
        f"image {found[0]}{f' and {len(found) - 1} others' if len(found) > 1 else ''}: {warning}"
        for warning, found in numbers.items()
    ]
