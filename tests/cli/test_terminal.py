"""The progress bar: counted where there are steps to count, alive where there are none."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gradprox.cli import terminal


@pytest.mark.parametrize(
    ("steps", "shown", "hidden"), [(4, "1/4", "0:00:00"), (1, "0:00:00", "/")], ids=["four steps", "one step"]
)
def test_a_single_step_shows_the_time_it_takes(monkeypatch, steps, shown, hidden):
    screen = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100)
    monkeypatch.setattr(terminal, "console", lambda **_: screen)
    with terminal.progress_bar(quiet=False) as bar:
        task = terminal.begin(bar, "photo.png", steps)
        if steps > 1:
            bar.advance(task)
        bar.refresh()
        lines = screen.file.getvalue()
    assert "photo.png" in lines
    assert shown in lines
    assert hidden not in lines
