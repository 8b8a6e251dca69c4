"""The finished images of a stack, kept beside its output until all are done, so that an interrupted run can go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gradprox.arrays import read_npz
from gradprox.cli.jobs import Record
from gradprox.errors import InputError
from gradprox.files import write_json, written_whole

if TYPE_CHECKING:
    from gradprox.images import ImageData


@dataclass
class Unfinished:
    """A hidden folder of finished images; each is a pair of files, ``NUMBER.npz`` and then ``NUMBER.json``.

    Attributes:
        source: the stack.
        folder: where the images are.
        count: how many are finished.
        unused: why the finished images of an interrupted run are not used; empty if they are, or if there are none.
    """

    source: Path
    folder: Path
    count: int = 0
    unused: str = ""

    @classmethod
    def of(cls, source: Path, target: Path, settings: Mapping[str, Any], *, resume: bool) -> Unfinished:
        """Return the finished images of a stack: those of an interrupted run with the same settings, or none.

        Args:
            source: the stack.
            target: its output.
            settings: those of the job.
            resume: whether to go on with finished images.
        """
        folder, status = target.with_name(f".{target.name}.images"), source.stat()
        found = cls(source, folder)
        wanted = {**settings, "source": [str(source), status.st_size, status.st_mtime_ns]}
        label = folder / "settings.json"
        if resume and label.is_file() and json.loads(label.read_text()) == json.loads(json.dumps(wanted)):
            while found._file(found.count, ".json").is_file():
                found.count += 1
        else:
            if found._file(0, ".json").is_file():
                found.unused = "its input or a setting has changed" if resume else "--resume was not given"
            found.remove()
            write_json(label, wanted)
        return found

    def add(self, pixels: NDArray[Any], chart: ImageData | None, record: Record) -> None:
        """Keep a finished image ``(1, C, H, W)``, the map of its uncertainty, and its figures."""
        arrays: dict[str, Any] = {"pixels": pixels}
        if chart is not None:
            arrays |= {"map": chart.array, "map_depth": np.array(chart.bit_depth)}
        with (
            written_whole(self._file(self.count, ".npz")) as temporary,
            temporary.open("wb") as stream,
        ):
            np.savez(stream, **arrays)
        write_json(self._file(self.count, ".json"), record)
        self.count += 1

    def pixels(self, number: int) -> NDArray[Any]:
        """Return a finished image."""
        return read_npz(self._file(number, ".npz"))["pixels"]

    def maps(self) -> Iterator[ImageData]:
        """Yield the maps of uncertainty."""
        from gradprox.images import ImageData

        for number in range(self.count):
            arrays = read_npz(self._file(number, ".npz"))
            yield ImageData(arrays["map"], int(arrays["map_depth"]))

    def records(self) -> list[Record]:
        """Return the figures of the finished images."""
        return [json.loads(self._file(number, ".json").read_text()) for number in range(self.count)]

    def remove(self) -> None:
        """Remove the folder."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    @contextmanager
    def kept(self, total: int) -> Iterator[None]:
        """Let an interruption or an error in the block say how to go on, if one of ``total`` images is finished.

        Raises:
            KeyboardInterrupt: the block was interrupted.
            InputError: the block raised one.
        """
        try:
            yield
        except KeyboardInterrupt:
            if self.count == 0:
                self.remove()
                raise
            raise KeyboardInterrupt(
                f"{self.source}: finished {self.count} of {total} images, kept in {self.folder}; run the command again "
                "with --resume to go on"
            ) from None
        except InputError as error:
            if self.count == 0:
                self.remove()
                raise
            raise InputError(
                f"{error}; {self.count} finished images are kept in {self.folder} for --resume"
            ) from error

    def _file(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:06}{suffix}"
