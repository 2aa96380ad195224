"""The programs in the documentation are programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.rasp.interpreter import evaluate
from engine.rasp.syntax import parse

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "rasp.md").read_text()
BLOCKS = re.findall(r"```rasp\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("block", "wanted"), zip(BLOCKS, [[2, 1, 2], ["a", "b", "a"]], strict=True))
def test_they_do_what_their_comment_says(block: str, wanted: list[object]) -> None:
    assert evaluate(parse(block), ["a", "b", "a"]) == wanted
