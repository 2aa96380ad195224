"""One input through a program and its model, as the RASP view draws it; plain Python.

A selector and the head that computes it stand beside each other: the operation names the head behind the selector's
label (`same L0H1`), and the selector behind the head's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from sessions.artifacts import AnyArtifact, Axis, Matrix, Table
from sessions.components import Component, Head, parse_component
from sessions.errors import CallError
from tui.widgets.heatmap_layout import Floats


class Pair(NamedTuple):
    """A selector and a head's pattern; either may be missing."""

    name: str
    selector: int | None
    pattern: int | None
    head: Head | None


class Trace(NamedTuple):
    values: Table | None = None
    selectors: Matrix | None = None
    patterns: Matrix | None = None
    pairs: tuple[Pair, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What all parts say together: input, output, decoded."""
        found: dict[str, Any] = {}
        for part in (self.values, self.selectors, self.patterns):
            found |= part.facts if part is not None else {}
        return found

    def selector(self, pair: Pair) -> tuple[Floats, Axis, Axis] | None:
        """The selector's matrix, queries down, with its axes."""
        if self.selectors is None or pair.selector is None:
            return None
        return np.asarray(self.selectors.values[pair.selector], float), self.selectors.axes[1], self.selectors.axes[2]

    def pattern(self, pair: Pair) -> tuple[Floats, Axis, Axis] | None:
        """The head's attention pattern, with BOS first on both axes."""
        if self.patterns is None or pair.pattern is None:
            return None
        return np.asarray(self.patterns.values[pair.pattern], float), self.patterns.axes[1], self.patterns.axes[2]

    def thumbnails(self) -> tuple[Floats, tuple[tuple[str, ...], ...]]:
        """All selectors in a row, and below them their heads' patterns, padded to one size with NaN."""
        parts = [[self.selector(p) for p in self.pairs]]
        labels = [tuple(p.name if p.selector is not None else "" for p in self.pairs)]
        if any(p.pattern is not None for p in self.pairs):
            parts.append([self.pattern(p) for p in self.pairs])
            labels.append(tuple(str(p.head) if p.head is not None else "" for p in self.pairs))
        size = max((len(found[0]) for row in parts for found in row if found is not None), default=1)
        values = np.full((len(parts), len(self.pairs), size, size), np.nan)
        for y, row in enumerate(parts):
            for x, found in enumerate(row):
                if found is not None:
                    at = size - len(found[0])  # a selector knows no BOS: its first row and column stay empty
                    values[y, x, at:, at:] = found[0]
        return values, tuple(labels)

    def offset(self, pair: Pair) -> int:
        """How many positions the pattern has before the selector's first: 1 where BOS leads, else 0."""
        selector, pattern = self.selector(pair), self.pattern(pair)
        if pattern is None:
            return 0
        return len(pattern[0]) - len(selector[0]) if selector is not None else 0


def trace_of(artifacts: Iterable[AnyArtifact]) -> Trace:
    """The parts of what `rasp.trace` left."""
    values: Table | None = None
    selectors: Matrix | None = None
    patterns: Matrix | None = None
    for artifact in artifacts:
        match artifact:
            case Table():
                values = values or artifact
            case Matrix(axes=(Axis(name="selector"), _, _)):
                selectors = artifact
            case Matrix(axes=(Axis(name="head"), _, _)):
                patterns = artifact
            case _:
                pass
    return Trace(values, selectors, patterns, pairs_of(selectors, patterns))


def pairs_of(selectors: Matrix | None, patterns: Matrix | None) -> tuple[Pair, ...]:
    """Each selector with its head; then the heads that no selector is known for, where no selector has one at all."""
    heads = [_first_head(label) for label in patterns.axes[0].labels] if patterns is not None else []
    pairs = []
    for i, label in enumerate(selectors.axes[0].labels if selectors is not None else ()):
        head = _last_head(label)
        name = label.rsplit(" ", 1)[0] if head is not None else label
        at = heads.index(head) if head in heads else None
        pairs.append(Pair(name, i, at, head if at is not None else None))
    if not any(pair.pattern is not None for pair in pairs):
        pairs += [Pair(str(head), None, i, head) for i, head in enumerate(heads) if head is not None]
    return tuple(pairs)


def outcome(trace: Trace) -> str:
    """`[3, 1, 2] gives [1, 2, 3]; the model says the same`."""
    facts = trace.facts
    given, output, decoded = facts.get("input"), facts.get("output"), facts.get("decoded")
    words = written(given) if given is not None else ""
    if output is not None:
        words += f" gives {written(output)}"
    if decoded is not None:
        same = output is not None and _same(output, decoded)
        said = "the model says the same" if same else f"the model says {written(decoded)}"
        words += f"{'; ' if output is not None else ': '}{said}"
    return words


def written(values: Any) -> str:
    """A list of values as a person writes it."""
    if not isinstance(values, list | tuple):
        return str(values)
    return (
        "[" + ", ".join("none" if v is None else f"{v:.4g}" if isinstance(v, float) else str(v) for v in values) + "]"
    )


def _same(output: Any, decoded: Any) -> bool:
    """Equal wherever the program is defined; numbers to what a 32-bit model can hold."""
    if not isinstance(output, list | tuple) or not isinstance(decoded, list | tuple) or len(output) != len(decoded):
        return False
    return all(
        o is None
        or o == d
        or (isinstance(o, int | float) and isinstance(d, int | float) and abs(o - d) <= 1e-3 * max(1.0, abs(o)))
        for o, d in zip(output, decoded)
    )


def _component(word: str) -> Component | None:
    try:
        return parse_component(word)
    except CallError:
        return None


def _last_head(label: str) -> Head | None:
    found = _component(label.rsplit(" ", 1)[-1])
    return found if isinstance(found, Head) else None


def _first_head(label: str) -> Head | None:
    found = _component(label.split(" ", 1)[0])
    return found if isinstance(found, Head) else None
