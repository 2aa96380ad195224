"""Graphs drawn as inline SVG: circuits in layers from the embedding down, automata in a ring."""

from __future__ import annotations

import math
from collections import defaultdict

from sessions.artifacts import Edge, Graph, Node, Side
from sessions.export import svg
from sessions.export.colours import NEGATIVE, POSITIVE
from sessions.render.graphs import compared, compared_names, strongest
from sessions.render.numbers import number

LARGEST_GRAPH = 400  # edges; a drawing with more cannot be read, and the strongest are drawn
_SWEEPS = 6  # barycentre sweeps; the order seldom changes after four
_BOX, _GAP, _LAYER = 24.0, 22.0, 78.0
_MARGIN = 90.0  # for the bows of long edges
_SIDE_INKS: dict[Side, str] = {"both": "#555555", "first": POSITIVE, "second": NEGATIVE}
_SIDE_FILLS: dict[Side, str] = {"both": "#ffffff", "first": "#fdebdc", "second": "#dfecf7"}


def drawing(artifact: Graph) -> str:
    if not artifact.nodes:
        return "<p>The graph is empty.</p>"
    return _automaton(artifact) if artifact.layout == "automaton" else _layered(artifact)


def _layered(artifact: Graph) -> str:
    nodes = [node for node in artifact.nodes if node.kept]
    every = strongest(artifact)
    edges = every[:LARGEST_GRAPH]
    rows = ordered(nodes, edges)
    widths = {node.id: 22 + 6.5 * max(len(node.label), len(_score(node))) for node in nodes}
    totals = [sum(widths[n.id] + _GAP for n in row) for row in rows]
    page = max([*totals, 120.0]) + 2 * _MARGIN
    at: dict[str, tuple[float, float]] = {}
    for level, (row, total) in enumerate(zip(rows, totals)):
        x = (page - total) / 2 + _GAP / 2
        for node in row:
            at[node.id] = x + widths[node.id] / 2, 30 + level * _LAYER
            x += widths[node.id] + _GAP
    names = {node.id: node.label for node in nodes}
    largest = max((abs(e.weight) for e in edges if math.isfinite(e.weight)), default=0.0)
    parts = [_curve(artifact, edge, at, names, largest, page / 2) for edge in reversed(edges)]
    for node in nodes:
        x, y = at[node.id]
        score = f": {number(node.score, 6)} {artifact.score_name}" if node.score is not None else ""
        hover = svg.title(node.label + score + _owner(artifact, node.side))
        box = {"x": x - widths[node.id] / 2, "y": y - _BOX / 2, "width": widths[node.id], "height": _BOX + 8}
        fill, stroke = ("#ffffff", "#333333") if node.side is None else (_SIDE_FILLS[node.side], _SIDE_INKS[node.side])
        dashes = "4 3" if node.side == "second" else None
        parts.append(svg.element("rect", hover, **box, rx=5.0, fill=fill, stroke=stroke, stroke_dasharray=dashes))
        parts.append(
            svg.text(
                x,
                y + (2 if node.score is not None else 8),
                node.label,
                text_anchor="middle",
                font_weight="bold",
                pointer_events="none",
            )
        )
        parts.append(svg.text(x, y + 15, _score(node), text_anchor="middle", fill="#555555", pointer_events="none"))
    words = [
        f"{len(nodes):,} of {len(artifact.nodes):,} nodes kept",
        f"{len(every):,} of {len(artifact.edges):,} edges kept",
    ]
    if len(every) > len(edges):
        words.append(f"the strongest {len(edges)} drawn")
    if compared(artifact):
        first, second = compared_names(artifact)
        words.append(f"grey: in both; orange: only in {svg.safe(first)}; blue and dashed: only in {svg.safe(second)}")
        words.append("width is the size of the weight")
    else:
        words.append("width is the size of the weight; positive orange, negative blue and dashed")
    picture = svg.picture(page, 30 + len(rows) * _LAYER, "".join(parts), artifact.title)
    return f'<figure>{picture}</figure><p class="legend">{"; ".join(words)}</p>'


def ordered(nodes: list[Node], edges: list[Edge]) -> list[list[Node]]:
    """Nodes by layer, in an order with few crossings: barycentre sweeps down and up (Sugiyama, Tagawa, Toda 1981)."""
    layers: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        layers[node.layer].append(node)
    rows = [layers[layer] for layer in sorted(layers)]
    beside: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        beside[edge.source].append(edge.target)
        beside[edge.target].append(edge.source)
    # Relative places: neighbours may lie in layers of any length, several layers away.
    place = {node.id: (i + 0.5) / len(row) for row in rows for i, node in enumerate(row)}
    for sweep in range(_SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            middle = {n.id: _mean([place[other] for other in beside[n.id]], place[n.id]) for n in row}
            row.sort(key=lambda node: middle[node.id])
            place.update({node.id: (i + 0.5) / len(row) for i, node in enumerate(row)})
    return rows


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _score(node: Node) -> str:
    return "" if node.score is None else number(node.score, 3)


def _owner(artifact: Graph, side: Side | None) -> str:
    """Which of two compared circuits has it, in words."""
    if side is None:
        return ""
    return ", in both" if side == "both" else f", only in {compared_names(artifact)[side == 'second']}"


def _curve(
    artifact: Graph,
    edge: Edge,
    at: dict[str, tuple[float, float]],
    names: dict[str, str],
    largest: float,
    centre: float,
) -> str:
    (x0, y0), (x1, y1) = at[edge.source], at[edge.target]
    y0, y1 = y0 + _BOX / 2 + 8, y1 - _BOX / 2
    middle = (y0 + y1) / 2
    # An edge that skips layers straight down would run behind the boxes between.
    bow = min(0.4 * (y1 - y0), _MARGIN) if y1 - y0 > _LAYER and abs(x1 - x0) < _LAYER else 0.0
    bow = bow if (x0 + x1) / 2 >= centre else -bow
    width = 0.8 + 5 * abs(edge.weight) / largest if largest and math.isfinite(edge.weight) else 0.8
    label = f" {edge.label}" if edge.label else ""
    weight = f"{number(edge.weight, 6)} {artifact.weight_name}".rstrip()
    hover = f"{names[edge.source]} → {edge.into(names[edge.target])}{label}: {weight}{_owner(artifact, edge.side)}"
    dashed = edge.weight < 0 if edge.side is None else edge.side == "second"
    ink = (NEGATIVE if edge.weight < 0 else POSITIVE) if edge.side is None else _SIDE_INKS[edge.side]
    return svg.element(
        "path",
        svg.title(hover),
        d=f"M{x0:.5g} {y0:.5g}C{x0 + bow:.5g} {middle:.5g} {x1 + bow:.5g} {middle:.5g} {x1:.5g} {y1:.5g}",
        fill="none",
        stroke=ink,
        stroke_width=width,
        stroke_opacity=0.75,
        stroke_dasharray="6 4" if dashed else None,
    )


def _automaton(artifact: Graph) -> str:
    count = len(artifact.nodes)
    size = 18 + 4.0 * max(len(node.label) for node in artifact.nodes)
    ring = 0.0 if count == 1 else max(2.6 * size, count * (2 * size + 60) / (2 * math.pi))
    centre = ring + size + 90
    at = {
        node.id: (
            centre + ring * math.sin(2 * math.pi * i / count),
            centre - ring * math.cos(2 * math.pi * i / count),
        )
        for i, node in enumerate(artifact.nodes)
    }
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for edge in artifact.edges:
        if edge.source in at and edge.target in at:
            grouped[edge.source, edge.target].append(edge.label)
    parts: list[str] = []
    for (source, target), labels in grouped.items():
        words = ", ".join(label for label in labels if label)
        draw = _loop if source == target else _arrow
        parts.append(draw(at[source], at[target], (centre, centre), size, words))
    for node in artifact.nodes:
        x, y = at[node.id]
        start = " (start)" if node.layer == 0 else ""
        parts.append(
            svg.element(
                "circle",
                svg.title(node.label + start),
                cx=x,
                cy=y,
                r=size,
                fill="#fff7e0" if start else "#ffffff",
                stroke="#333333",
            )
        )
        if node.accepting:
            parts.append(svg.element("circle", cx=x, cy=y, r=size - 4, fill="none", stroke="#333333"))
        parts.append(svg.text(x, y + 4, node.label, text_anchor="middle", pointer_events="none"))
    picture = svg.picture(2 * centre, 2 * centre, "".join(parts), artifact.title)
    words = f"{count:,} states, {len(artifact.edges):,} transitions; start shaded, accepting with a double ring"
    return f'<figure>{picture}</figure><p class="legend">{words}</p>'


_LINE = {"fill": "none", "stroke": "#555555", "marker_end": "url(#arrow)"}


def _arrow(a: tuple[float, float], b: tuple[float, float], centre: tuple[float, float], size: float, words: str) -> str:
    """A bowed arrow, so that there and back are two lines."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy)
    ux, uy = dx / length, dy / length
    bow = 0.16 * length
    mid = (a[0] + b[0]) / 2 - uy * bow, (a[1] + b[1]) / 2 + ux * bow
    start, end = _towards(a, mid, size), _towards(b, mid, size)
    path = f"M{start[0]:.5g} {start[1]:.5g}Q{mid[0]:.5g} {mid[1]:.5g} {end[0]:.5g} {end[1]:.5g}"
    label = (a[0] + b[0]) / 2 - uy * bow * 0.75, (a[1] + b[1]) / 2 + ux * bow * 0.75
    return svg.element("path", d=path, **_LINE) + _label(label, words)


def _loop(a: tuple[float, float], _: tuple[float, float], centre: tuple[float, float], size: float, words: str) -> str:
    """From a state to itself, outside the ring."""
    dx, dy = a[0] - centre[0], a[1] - centre[1]
    length = math.hypot(dx, dy)
    ux, uy = (dx / length, dy / length) if length else (0.0, -1.0)
    far = size + 52
    corners = [(a[0] + ux * far - s * uy * 26, a[1] + uy * far + s * ux * 26) for s in (1, -1)]
    start, end = _towards(a, corners[0], size), _towards(a, corners[1], size)
    path = "M{:.5g} {:.5g}C{:.5g} {:.5g} {:.5g} {:.5g} {:.5g} {:.5g}".format(*start, *corners[0], *corners[1], *end)
    return svg.element("path", d=path, **_LINE) + _label((a[0] + ux * (size + 48), a[1] + uy * (size + 48)), words)


def _towards(a: tuple[float, float], b: tuple[float, float], distance: float) -> tuple[float, float]:
    length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    return a[0] + (b[0] - a[0]) * distance / length, a[1] + (b[1] - a[1]) * distance / length


def _label(at: tuple[float, float], words: str) -> str:
    if not words:
        return ""
    return svg.text(
        at[0],
        at[1] + 4,
        words,
        text_anchor="middle",
        stroke="#ffffff",
        stroke_width=3.0,
        paint_order="stroke",
        fill="#000000",
    )
