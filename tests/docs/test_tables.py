"""Every generated table has rows, so that a renamed benchmark file cannot empty a page unnoticed."""

from __future__ import annotations

import re
import runpy

import pytest

from tests.printed import ROOT

HOOK = runpy.run_path(str(ROOT / "docs" / "hooks" / "tables.py"))


@pytest.mark.parametrize("name", HOOK["TABLES"])
def test_every_table_has_rows_of_one_width(name):
    lines = HOOK["TABLES"][name]().splitlines()
    assert len(lines) > 2
    # Python-Markdown does not split cells at bars within backticks.
    assert len({re.sub(r"`[^`]*`", "", line).count("|") for line in lines}) == 1


def test_pages_show_every_table_and_no_other():
    marks = {
        mark
        for page in (ROOT / "docs").rglob("*.md")
        for mark in re.findall(r"<!-- table: (\w+) -->", page.read_text(encoding="utf-8"))
    }
    assert marks == {*HOOK["TABLES"]}


def test_a_table_without_rows_fails():
    with pytest.raises(ValueError, match="no rows"):
        HOOK["_table"](("model",), [])
