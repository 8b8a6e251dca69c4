r"""Convert the formulas of a page, ``\(...\)`` and ``\[...\]``, to MathML, which browsers draw without a script."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', flags=re.DOTALL
)


def on_page_content(content: str, **_: Any) -> str:
    """Replace the formulas that `pymdownx.arithmatex` has marked."""
    return _FORMULA.sub(_mathml, content)


def _mathml(formula: re.Match[str]) -> str:
    display = "inline" if formula["tag"] == "span" else "block"
    return convert(html.unescape(formula["tex"]), display=display)
