"""Entries of matrices with any axes: the slice drawn, and the part an entry is about."""

from __future__ import annotations

import numpy as np

from sessions.artifacts import Axis, Matrix
from sessions.components import Head, Mlp
from tui.panes.matrix_cells import component_at, entry_words, slice_at, slices


def matrix(shape: tuple[int, ...], *axes: Axis, marks: tuple[tuple[int, ...], ...] = ()) -> Matrix:
    return Matrix(title="m", values=np.arange(np.prod(shape), dtype=float).reshape(shape), axes=axes, marks=marks)


def test_a_matrix_of_four_axes_has_a_picture_for_each_place_of_the_first_two() -> None:
    labels = Axis("layer", ("L0", "L1"))
    made = matrix((3, 2, 4, 5), Axis("prompt"), labels, Axis("query"), Axis("key"), marks=((1, 1, 2, 3), (0, 0, 1, 1)))
    assert slices(made) == 6
    part = slice_at(made, 3)
    assert part.words == "prompt 1, layer L1"
    assert (part.values == made.values[1, 1]).all()
    assert (part.rows.name, part.columns.name) == ("query", "key")
    assert part.marks == {(2, 3)}
    assert entry_words(made, 3, 2, 4) == "prompt 1, layer L1, query 2, key 4"


def test_a_vector_is_a_picture_of_one_row() -> None:
    made = matrix((4,), Axis("layer"))
    assert slice_at(made, 0).values.shape == (1, 4)
    assert slices(made) == 1


def test_an_entry_is_about_the_head_of_its_layer_and_head_whichever_axes_those_are() -> None:
    made = matrix((2, 3, 2), Axis("layer", ("L4", "L7")), Axis("prompt"), Axis("head", ("H1", "H9")))
    assert component_at(made, 1, 2, 1) == Head(7, 9)
    assert component_at(matrix((2, 1), Axis("layer"), Axis("mlp", ("mlp",))), 0, 1, 0) == Mlp(1)


def test_an_entry_of_named_parts_is_about_its_column_else_its_row() -> None:
    edges = matrix((2, 2), Axis("target", ("L1H0.q", "logits")), Axis("source", ("embed", "L0H3")))
    assert component_at(edges, 0, 0, 1) == Head(0, 3)
    models = matrix((2, 2), Axis("model", ("a", "b")), Axis("head", ("L0H1", "L1H2")))
    assert component_at(models, 0, 0, 1) == Head(1, 2)
    targets = matrix((1, 1), Axis("target", ("L1H0.q",)), Axis("at", ("5.1",)))
    assert component_at(targets, 0, 0, 0) == Head(1, 0)  # an input is of its head; 5.1 is a number
    assert component_at(matrix((2, 2), Axis("a"), Axis("b")), 0, 0, 0) is None
