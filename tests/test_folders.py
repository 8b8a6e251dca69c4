"""Folders that appear whole or not at all."""

from __future__ import annotations

import pytest

from gradprox.files import folder_written_whole


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
