"""Every code block and every command of the documentation runs, in the order of its page."""

from __future__ import annotations

import re

import pytest

from tests.printed import ROOT, blocks, lay_out_images, run_command, run_python, setup_commands

DOCS = ROOT / "docs"
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if "```" in page.read_text())
# Pages whose photos need more than 32 pixels per side.
SIDES = {"tutorials/blurred-photo.md": 160}
# Each export is verified over many sizes, and a training takes its steps: minutes.
SLOW = {"tutorials/onnx.md", "tutorials/noisy-images.md"}


@pytest.mark.parametrize(
    "name", [pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW)) for page in PAGES]
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by torch's exporter
def test_what_a_page_prints_runs(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lay_out_images(tmp_path, SIDES.get(name, 32))
    page, namespace = DOCS / name, {}
    for block in blocks(page):
        if block.title:
            (tmp_path / block.title).write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            run_python(block.code, page, namespace)
        elif block.language == "sh":
            for line in block.commands:
                if line not in setup_commands():  # `.ci/run` runs those
                    run_command(line, monkeypatch, capsys)
        else:
            assert block.language == "text", f"{name}: a block of {block.language} is not run"


def test_images_are_small():
    images = [p for p in DOCS.rglob("*") if p.suffix in (".png", ".jpg")]
    assert images
    assert max(p.stat().st_size for p in images) < 200_000


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), flags=re.M))
    assert listed == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
