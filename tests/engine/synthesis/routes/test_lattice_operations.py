"""The lattice operation on networks whose lattice is known, and what it says where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.operations import parse
from engine.synthesis.routes.lattice_operations import OPERATIONS
from sessions.artifacts import Points, Table
from sessions.errors import CallError, IwbError
from tests.engine.synthesis.conftest import Desk, bundled
from tests.engine.synthesis.routes.test_linear import delays, network

OPERATION = OPERATIONS[0]


def run(model: Any, **values: Any) -> tuple[Points, Table]:
    points, table = OPERATION.function(parse(OPERATION, {"model": "@1", **values}), Desk(model))  # type: ignore[arg-type]
    assert isinstance(points, Points)
    assert isinstance(table, Table)
    return points, table


@pytest.mark.parametrize("method", ["update", "volumes"])
def test_two_registers_have_the_lattice_of_their_weights(method: str) -> None:
    w, v, b = delays(2)
    model = network(w, v, b, np.ones((1, 2)), np.zeros(1), noise=1e-5)
    points, table = run(model, method=method)
    weight = model.weights["f.0.weight"].double().numpy()
    known = np.stack([weight[:, 2], weight[:, :2] @ weight[:, 2]])
    found = np.array([row[2:] for row in table.rows[:-1]], dtype=float)
    between = found @ np.linalg.inv(known)
    np.testing.assert_allclose(between, np.rint(between), atol=0.02)
    assert abs(np.linalg.det(between)) == pytest.approx(1, abs=0.02)
    # What is drawn fits the points: they are whole steps from the origin.
    picture = points.facts["lattice"]
    k = (points.xy - np.array(picture["origin"])) @ np.linalg.inv(np.array(picture["basis"]))
    np.testing.assert_allclose(k, np.rint(k), atol=0.05)


def test_a_counter_with_a_bent_update_is_told_from_its_states() -> None:
    points, table = run(bundled("Evens_Counter"))
    assert points.facts["method"] == "greatest common divisor of volumes"
    assert points.facts["integer coordinates"] == "0..10"
    assert points.axis_names == ("time", "h1")
    assert len(table.rows) == 2
    assert points.facts["lattice"]["basis"][0][0] == 0


def test_many_hidden_numbers_are_refused_before_volumes_are_sought() -> None:
    model = network(*delays(5), np.ones((1, 5)), np.zeros(1))
    with pytest.raises(CallError, match="at most 4"):
        run(model, method="volumes")


def test_where_there_is_none_it_says_so() -> None:
    class Cloud:
        hidden, inputs, outputs, low, high, length = 2, 1, 1, 0, 9, 5
        handle = network(*delays(2), np.ones((1, 2)), np.zeros(1)).handle

        def run(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            states = torch.randn((*x.shape[:2], 2), generator=torch.Generator().manual_seed(0))
            return states, states[..., :1]

    with pytest.raises(IwbError, match="on no lattice"):
        run(Cloud())
    with pytest.raises(IwbError, match="not affine"):
        run(Cloud(), method="update")
