"""A sweep's matrices as one grid and as a ranking."""

import numpy as np
import pytest

from sessions.artifacts import Axis, Matrix
from sessions.components import Head, Mlp
from tui.panes.sweep_table import about_components, ranking, sweep_grid, time_left

LAYERS = Axis("layer", ("L0", "L1"))


def heads(values=((0.5, -2.0, 1.0), (np.nan, 0.0, 0.25)), **more):
    return Matrix(
        title="heads",
        values=np.array(values),
        axes=(LAYERS, Axis("head", ("H0", "H1", "H2"))),
        scale="diverging",
        **more,
    )


def mlps(values=((-9.0,), (3.0,))):
    return Matrix(title="mlps", values=np.array(values), axes=(LAYERS, Axis("mlp", ("mlp",))), scale="diverging")


def test_mlps_stand_in_a_last_column_and_leave_the_colours_to_the_heads():
    grid = sweep_grid(heads(), mlps())
    assert grid.columns.labels == ("H0", "H1", "H2", "mlp")
    assert grid.values[:, 3].tolist() == [-9.0, 3.0]
    assert grid.limits == (-2.0, 2.0)
    assert grid.component(1, 2) == Head(1, 2)
    assert grid.component(1, 3) == Mlp(1)
    assert grid.place(1, None) == (1, 3)
    assert grid.value(0, None) == -9.0


def test_without_mlps_there_is_no_column_for_them():
    grid = sweep_grid(heads())
    assert grid.limits is None
    assert grid.place(0, None) is None
    assert np.isnan(grid.value(0, None))


def test_mlps_of_another_model_are_left_out():
    assert sweep_grid(heads(), mlps(((1.0,),))).columns.labels == ("H0", "H1", "H2")


def test_the_ranking_holds_what_is_known_by_size():
    columns, rows = ranking(sweep_grid(heads(), mlps()), "logits")
    assert [name for name, _ in rows] == ["mlp0", "mlp1", "L0H1", "L0H2", "L0H0", "L1H2", "L1H1"]
    assert columns[1].unit == "logits"


def test_ranks_count_larger_effects_of_either_sign():
    grid = sweep_grid(heads(), mlps())
    assert grid.rank(0, 1) == (3, 7)
    assert grid.rank(0, None) == (1, 7)
    assert grid.rank(1, 0) is None


def test_marks_are_kept():
    assert sweep_grid(heads(marks=((0, 1), (1, 2)))).marks == {(0, 1), (1, 2)}


def test_only_layer_by_head_and_layer_by_mlp_are_about_components():
    assert about_components(heads())
    assert about_components(mlps())
    assert not about_components(Matrix(title="", values=np.zeros((2, 2)), axes=(Axis("query"), Axis("key"))))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, ""), (0.2, "0 s left"), (42.4, "42 s left"), (200, "3 min left"), (9000, "2.5 h left")],
)
def test_time_left_is_said_in_the_unit_that_fits(seconds, words):
    assert time_left(seconds) == words
