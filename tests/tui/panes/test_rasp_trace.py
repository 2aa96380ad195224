"""One input through a program and its model: which head goes with which selector, and what is said of it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from sessions.artifacts import Axis, Matrix
from sessions.components import Head
from tests.tui.panes import rasp_content as content
from tui.panes.rasp_trace import Pair, attending, outcome, pairs_of, trace_of, written


def test_the_head_named_behind_a_selector_stands_beside_it() -> None:
    trace = trace_of(content.traced())
    (pair,) = trace.pairs
    assert pair == Pair("same", 0, 0, Head(0, 0))
    assert trace.offset(pair) == 1


def test_a_program_alone_has_selectors_alone() -> None:
    assert trace_of(content.traced(model=False)).pairs == (Pair("same", 0, None, None),)


def test_an_unnamed_head_is_found_by_how_it_attends() -> None:
    _, selectors, patterns = content.traced()
    assert isinstance(selectors, Matrix)
    assert isinstance(patterns, Matrix)
    unnamed = msgspec.structs.replace(selectors, axes=(Axis("selector", ("same",)), *selectors.axes[1:]))
    idle = np.full((1, 4, 4), 0.25)
    two = msgspec.structs.replace(
        patterns,
        values=np.concatenate([idle, patterns.values]),
        axes=(Axis("head", ("L0H0", "L1H0")), *patterns.axes[1:]),
    )
    assert pairs_of(unnamed, two) == (Pair("same", 0, 1, Head(1, 0)),)
    only_idle = msgspec.structs.replace(two, values=np.concatenate([idle, idle]))
    assert [pair.name for pair in pairs_of(unnamed, only_idle)] == ["same", "L0H0", "L1H0"]


def test_both_ways_a_compiled_head_attends_are_known() -> None:
    selector = np.array([[0.0, 0.0], [1.0, 1.0]])
    aggregate = np.array([[1, 0, 0], [1, 0, 0], [0, 0.5, 0.5]])
    width = np.array([[1, 0, 0], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert attending(selector, np.stack([np.eye(3), aggregate])) == 1
    assert attending(selector, np.stack([np.eye(3), width])) == 1
    assert attending(selector, np.eye(3)[None]) is None
    assert attending(selector, np.eye(4)[None]) is None  # of another input
    assert attending(np.zeros((0, 0)), np.zeros((0, 1, 1))) is None


def test_thumbnails_of_selectors_leave_room_for_bos() -> None:
    values, labels = trace_of(content.traced()).thumbnails()
    assert values.shape == (2, 1, 4, 4)
    assert labels == (("same",), ("L0H0",))
    assert np.isnan(values[0, 0, 0]).all()
    assert np.isnan(values[0, 0, :, 0]).all()
    assert not np.isnan(values[1]).any()


def test_the_exact_numbers_of_an_entry() -> None:
    trace = trace_of(content.traced())
    assert trace.told(trace.pairs[0], 1, 3) == [
        "selector same", "head L0H0", "query 0:a", "key 2:a", "selected: yes, 2 keys by this query",
        "attention: 0.333333",
    ]  # fmt: skip
    assert trace.told(trace.pairs[0], 0, 0) == [
        "selector same", "head L0H0", "query BOS", "key BOS", "attention: 1"
    ]  # fmt: skip
    assert trace.told(trace.pairs[0], 9, 9) == ["selector same", "head L0H0"]


@pytest.mark.parametrize(
    ("decoded", "said"),
    [
        ([2, 1, 2], "the model says the same"),
        ([2.0004, 1.0, 2.0], "the model says the same"),
        ([2, 1, 1], "the model says [2, 1, 1]"),
        ([2, 1], "the model says [2, 1]"),
    ],
)
def test_the_outcome_in_words(decoded: list[float], said: str) -> None:
    values, selectors, patterns = content.traced()
    patterns = msgspec.structs.replace(patterns, facts={**patterns.facts, "decoded": decoded})
    assert outcome(trace_of((values, selectors, patterns))) == f"[a, b, a] gives [2, 1, 2]; {said}"


def test_where_a_program_is_not_defined_any_answer_is_the_same() -> None:
    patterns = msgspec.structs.replace(content.traced()[2], facts={"input": [1], "output": [None], "decoded": [3]})
    assert outcome(trace_of((patterns,))) == "[1] gives [none]; the model says the same"


def test_a_model_alone_says_what_it_says() -> None:
    patterns = msgspec.structs.replace(content.traced()[2], facts={"input": [1, 2], "decoded": [0.5, True]})
    assert outcome(trace_of((patterns,))) == "[1, 2]: the model says [0.5, True]"


def test_values_are_written_as_a_person_writes_them() -> None:
    assert written([None, 0.5, "a", True, (1, 2)]) == "[none, 0.5, a, True, (1, 2)]"
    assert written("all") == "all"
