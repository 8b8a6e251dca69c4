"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import threading

import pytest

from gradprox.files import folder_written_whole, write_json, written_whole


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_written_to_and_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="a device or a pipe"), written_whole(pipe):
        pass
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    write_json(pipe, {"done": 1})
    reader.join(timeout=30)
    assert json.loads(received[0]) == {"done": 1}
    assert pipe.is_fifo()
