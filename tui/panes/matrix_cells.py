"""What the entries of a matrix are about, whatever its axes: slices of more than two, and the part an entry names."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from sessions.artifacts import Axis, Matrix
from sessions.components import Component, Head, Mlp, parse_component
from sessions.errors import CallError
from tui.widgets.heatmap_layout import Floats


class Slice(NamedTuple):
    """Two axes of a matrix at one place of the others."""

    values: Floats
    rows: Axis
    columns: Axis
    words: str  # `prompt 3, layer L0`; empty for a matrix of two axes
    marks: frozenset[tuple[int, int]]


def slices(matrix: Matrix) -> int:
    """How many pictures of two axes there are in the matrix."""
    return int(np.prod(matrix.values.shape[:-2], dtype=int)) if matrix.values.ndim > 2 else 1


def slice_at(matrix: Matrix, index: int) -> Slice:
    """The picture numbered `index`, counting the leading axes as numpy does."""
    values = np.asarray(matrix.values, dtype=np.float64)
    if values.ndim == 1:
        return Slice(values[None, :], Axis("", (" ",)), matrix.axes[0], "", _marks(matrix, ()))
    place = _place(matrix, index)
    words = ", ".join(
        f"{axis.name} {axis.labels[at] if at < len(axis.labels) else at}" for axis, at in zip(matrix.axes, place)
    )
    return Slice(values[place], matrix.axes[-2], matrix.axes[-1], words, _marks(matrix, place))


def _place(matrix: Matrix, index: int) -> tuple[int, ...]:
    if matrix.values.ndim <= 2:
        return ()
    return tuple(int(at) for at in np.unravel_index(index % slices(matrix), matrix.values.shape[:-2]))


def _marks(matrix: Matrix, place: tuple[int, ...]) -> frozenset[tuple[int, int]]:
    return frozenset(
        (int(mark[-2]) if len(mark) > 1 else 0, int(mark[-1]))
        for mark in matrix.marks
        if mark and tuple(mark[:-2]) == place
    )


def component_at(matrix: Matrix, index: int, row: int, column: int) -> Component | None:
    """The head, MLP or other part an entry is about: by its layer and head, else by the name of its column or row."""
    at = (*_place(matrix, index), row, column)[-matrix.values.ndim :]
    axes = {axis.name: (axis, place) for axis, place in zip(matrix.axes, at)}
    if "layer" in axes and "head" in axes:
        return Head(_number(*axes["layer"]), _number(*axes["head"]))
    if "layer" in axes and "mlp" in axes:
        return Mlp(_number(*axes["layer"]))
    for axis, place in reversed([*axes.values()]):
        label = axis.labels[place].strip() if place < len(axis.labels) else ""
        try:
            found = parse_component(label)
        except CallError:
            continue
        if str(found) == label:  # `5.1` may be a number
            return _whole(found)
    return None


def _number(axis: Axis, place: int) -> int:
    """`L3` and `H1` as numbers, where an axis shows some layers or heads only."""
    digits = axis.labels[place].lstrip("LHlayerhd ") if place < len(axis.labels) else ""
    return int(digits) if digits.isdigit() else place


def _whole(component: Component) -> Component:
    """A head without the input that an edge feeds: `L3H1.q` is about L3H1."""
    return msgspec.structs.replace(component, input=None) if isinstance(component, Head) else component


def entry_words(matrix: Matrix, index: int, row: int, column: int, between: str = ", ") -> str:
    """Where an entry stands: `circuit A, model B`."""
    at = (*_place(matrix, index), row, column)[-matrix.values.ndim :]
    return between.join(
        f"{axis.name} {axis.labels[place] if place < len(axis.labels) else place}".strip()
        for axis, place in zip(matrix.axes, at)
    )
