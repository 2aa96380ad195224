"""A canvas of direction bits: lines are ORed per cell, then become box-drawing characters.

A plain OR would turn crossings into joins that are not there, so every cell remembers which edges run through it:
where unrelated ones cross, the horizontal passes and the vertical leaves a gap.
"""

from __future__ import annotations

from collections.abc import Sequence

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8

_LIGHT = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
_HEAVY = " ╹╻┃╸┛┓┫╺┗┏┣━┻┳╋"
_ASCII = " |||-+++-+++-+++"
_DASHED = {3: "╎", 12: "╌"}
_ASCII_DASHED = {3: ":", 12: "."}

Line = tuple[int, str, str]  # edge number, source, target


class Canvas:
    """Lines between cells, drawn as characters. Columns and rows count from 0, growing right and down."""

    def __init__(self, ascii_only: bool = False) -> None:
        self.ascii_only = ascii_only
        self.bits: dict[tuple[int, int], list[tuple[int, Line]]] = {}
        self.text: dict[tuple[int, int], tuple[str, object]] = {}

    def horizontal(self, y: int, x1: int, x2: int, line: Line) -> None:
        left, right = min(x1, x2), max(x1, x2)
        if left == right:
            return
        for x in range(left, right + 1):
            bits = (LEFT if x > left else 0) | (RIGHT if x < right else 0)
            self.bits.setdefault((x, y), []).append((bits, line))

    def vertical(
        self, x: int, y1: int, y2: int, line: Line, *, open_top: bool = False, open_bottom: bool = False
    ) -> None:
        """From y1 down to y2. An open end reaches to the cell's border, where a box or another line goes on."""
        for y in range(y1, y2 + 1):
            bits = (UP if y > y1 or open_top else 0) | (DOWN if y < y2 or open_bottom else 0)
            self.bits.setdefault((x, y), []).append((bits, line))

    def write(self, x: int, y: int, text: str, ink: object) -> None:
        for i, character in enumerate(text):
            self.text[(x + i, y)] = (character, ink)

    def cell(self, x: int, y: int, weights: Sequence[int]) -> tuple[str, tuple[int, ...]]:
        """The character at a place and the edges that run through it. `weights` gives each edge 0, 1 or 2 (heavy)."""
        parts = self.bits.get((x, y))
        if not parts:
            return " ", ()
        edges = tuple(dict.fromkeys(line[0] for _, line in parts))
        across = [(b, line) for b, line in parts if b & (LEFT | RIGHT)]
        upright = [(b, line) for b, line in parts if not b & (LEFT | RIGHT)]
        bits = 0
        for b, _ in parts:
            bits |= b
        if across and upright and not any(_related(a, u) for _, a in across for _, u in upright):
            bits = 0
            for b, _ in across:
                bits |= b
            if bits == LEFT | RIGHT:
                edges = tuple(dict.fromkeys(line[0] for _, line in across))
        weight = max((weights[e] for e in edges if e < len(weights)), default=1)
        if self.ascii_only:
            return (_ASCII_DASHED.get(bits) if weight == 0 else None) or _ASCII[bits], edges
        if weight == 0 and bits in _DASHED:
            return _DASHED[bits], edges
        return (_HEAVY if weight == 2 else _LIGHT)[bits], edges


def _related(one: Line, other: Line) -> bool:
    return one[1] == other[1] or one[2] == other[2]


def tracks(nets: Sequence[tuple[int, int, frozenset[int], frozenset[int]]]) -> list[int]:
    """A track for each net of a channel (the left-edge method with vertical constraints).

    A net is (left, right, columns it enters from above, columns it leaves by below). Nets on one track do not touch;
    where one net comes down a column that another leaves by, the first is put above. Circular wishes are broken by
    position.
    """
    must_follow: dict[int, set[int]] = {i: set() for i in range(len(nets))}
    for i, (_, _, enters, _) in enumerate(nets):
        for j, (_, _, _, leaves) in enumerate(nets):
            if i != j and enters & leaves:
                must_follow[j].add(i)
    waiting = sorted(range(len(nets)), key=lambda i: (nets[i][0], nets[i][1]))
    out = [0] * len(nets)
    track = 0
    while waiting:
        ready = [i for i in waiting if not must_follow[i] & set(waiting)] or waiting[:1]
        end, placed = -2, []
        for i in ready:
            if nets[i][0] > end + 1:
                out[i] = track
                end = nets[i][1]
                placed.append(i)
        waiting = [i for i in waiting if i not in placed]
        track += 1
    return out
