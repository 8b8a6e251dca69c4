"""Folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os

import pytest

from gradprox.files import folder_written_whole, written_whole


def test_a_failure_leaves_what_was_there(tmp_path):
    folder = tmp_path / "new" / "model"
    with folder_written_whole(folder) as temporary:
        (temporary / "a").write_text("first")
        assert not folder.exists()
    assert (folder / "a").read_text() == "first"
    with pytest.raises(FileExistsError), folder_written_whole(folder):
        pass
    with pytest.raises(IsADirectoryError), folder_written_whole(folder, replace=True) as temporary:
        temporary.read_text()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert [path.name for path in folder.iterdir()] == ["a"]
    with folder_written_whole(folder, replace=True) as temporary:
        (temporary / "b").touch()
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_full_disk_names_the_file_that_does_not_fit(tmp_path):
    file = tmp_path / "image.png"
    with pytest.raises(OSError, match="No space left") as caught, written_whole(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as from the system, which names no file
    assert caught.value.filename == str(file)
    assert not any(tmp_path.iterdir())
