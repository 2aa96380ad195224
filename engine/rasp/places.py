"""Where a piece of RASP text stands, for nodes and for messages, and how a message quotes it."""

from __future__ import annotations

import ast
from collections.abc import Callable

from engine.rasp.language import Node
from sessions.errors import CallError


class Place:
    """Where a piece of `ast` stands in the text, in characters from 1 (Python counts bytes from 0)."""

    def __init__(self, lines: list[str], indent: int) -> None:
        self.lines, self.indent = lines, indent

    def of(self, at: ast.AST) -> tuple[int, int, int]:
        """line, column, length (to the end of the line, where it runs over several)."""
        line: int = getattr(at, "lineno", 1)
        start = self._characters(line, getattr(at, "col_offset", 0))
        stop = len(self.lines[line - 1])
        if getattr(at, "end_lineno", line) == line:
            stop = self._characters(line, getattr(at, "end_col_offset", 0))
        return line, start + 1 + self.indent, max(stop - start, 1)

    def given_to(self, node: Node, e: ast.expr) -> Node:
        """The node, which knows from now on where it was written."""
        node.line, node.column, _ = self.of(e)
        return node

    def _characters(self, line: int, bytes_before: int) -> int:
        if self.lines[line - 1].isascii():  # known without looking; a line may be long and hold many statements
            return bytes_before
        return len(self.lines[line - 1].encode()[:bytes_before].decode(errors="ignore"))


# From (place, ast node, what is wrong, remedy), the error to raise.
Problem = Callable[..., CallError]
# The same, once the place is known: from (ast node, what is wrong, remedy).
Mistake = Callable[..., CallError]


def excerpt(e: ast.AST) -> str:
    """The text of `e` as a message quotes it: at most 40 characters."""
    text = ast.unparse(e)
    return text if len(text) <= 40 else text[:37] + "..."
