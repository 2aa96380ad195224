"""Artifacts as plain text, for terminals without the workbench and for reports.

`render` gives the whole artifact, heading included; `body` without the heading. Widths are in terminal cells. Whatever
does not fit is said, never silently dropped, and no control character of a foreign file reaches the terminal.
"""

from sessions.render.artifact import body, heading, render
from sessions.render.numbers import duration, number, size

__all__ = ["body", "duration", "heading", "number", "render", "size"]
