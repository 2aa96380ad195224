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

CLOSE = 0.05  # attention, at most so far from what the selector says, in every entry


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

    def told(self, pair: Pair, query: int | None, key: int | None) -> list[str]:
        """The exact numbers of one entry; `query` and `key` are positions of the pattern, BOS first."""
        selector, pattern, by = self.selector(pair), self.pattern(pair), self.offset(pair)
        lines = [f"selector {pair.name}"] if selector is not None else []
        lines += [f"head {pair.head}"] if pattern is not None else []
        if query is None or key is None:
            return lines
        if pattern is not None and query < len(pattern[0]) and key < len(pattern[0]):
            names = [axis.labels[at] if axis.labels else at for axis, at in ((pattern[1], query), (pattern[2], key))]
            lines += [f"query {names[0]}", f"key {names[1]}"]
        if selector is not None and 0 <= query - by < len(selector[0]) and 0 <= key - by < len(selector[0]):
            chosen = selector[0][query - by]
            lines.append(f"selected: {'yes' if chosen[key - by] else 'no'}, {int(chosen.sum())} keys by this query")
        if pattern is not None and query < len(pattern[0]) and key < len(pattern[0]):
            lines.append(f"attention: {float(pattern[0][query, key]):.6g}")
        return lines

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
    """Each selector with its head; where no selector has one, the heads follow by themselves.

    A head that the operation does not name (the model's layout is not the plain compilation's) is the one that attends
    as the selector says, if one does.
    """
    heads = [_first_head(label) for label in patterns.axes[0].labels] if patterns is not None else []
    pairs = []
    for i, label in enumerate(selectors.axes[0].labels if selectors is not None else ()):
        head = _last_head(label)
        name = label.rsplit(" ", 1)[0] if head is not None else label
        at = heads.index(head) if head in heads else None
        if at is None and selectors is not None and patterns is not None:
            at = attending(np.asarray(selectors.values[i], float), np.asarray(patterns.values, float))
        pairs.append(Pair(name, i, at, heads[at] if at is not None else None))
    if not any(pair.pattern is not None for pair in pairs):
        pairs += [Pair(str(head), None, i, head) for i, head in enumerate(heads) if head is not None]
    return tuple(pairs)


def attending(selector: Floats, patterns: Floats) -> int | None:
    """The head whose pattern is what a compiled model makes of that selector; None when no head's is close.

    An aggregate attends evenly to what is selected, or to BOS if nothing is; a selector width attends to BOS as well.
    """
    n = len(selector)
    if not n or patterns.shape[1:] != (n + 1, n + 1):
        return None
    chosen = selector.sum(-1, keepdims=True)
    aggregate = np.hstack([(chosen == 0).astype(float), selector / np.maximum(chosen, 1)])
    width = np.hstack([np.ones((n, 1)), selector]) / (1 + chosen)
    off = [min(float(np.abs(p[1:] - form).max()) for form in (aggregate, width)) for p in patterns]
    best = int(np.argmin(off)) if off else 0
    return best if off and off[best] < CLOSE else None


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
