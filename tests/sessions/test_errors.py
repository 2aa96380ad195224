"""Errors: one line with place and remedy, the same on the other side of a process boundary."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.errors import CallError, CancelledError, ErrorRecord, IwbError, nearest


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (IwbError("it broke"), "it broke"),
        (IwbError("it broke", "step 3"), "step 3: it broke"),
        (IwbError("it broke", "", "try again"), "it broke; try again"),
        (CallError("it broke", "step 3", "try again"), "step 3: it broke; try again"),
    ],
)
def test_an_error_is_one_line(error: IwbError, line: str) -> None:
    assert str(error) == line
    assert str(ErrorRecord.of(error)) == line


@given(st.text(), st.text(), st.text(), st.booleans())
def test_an_error_crosses_the_process_boundary_whole(what: str, where: str, remedy: str, call: bool) -> None:
    error = (CallError if call else IwbError)(what, where, remedy)
    record = msgspec.msgpack.decode(msgspec.msgpack.encode(ErrorRecord.of(error)), type=ErrorRecord)
    back = record.error()
    assert type(back) is type(error)
    assert (back.what, back.where, back.remedy) == (what, where, remedy)


def test_a_cancellation_is_no_mistake_of_the_caller() -> None:
    assert not ErrorRecord.of(CancelledError("stopped")).call


@pytest.mark.parametrize(
    ("word", "known", "remedy"),
    [
        ("ablatoin", ["ablation", "metric"], "did you mean 'ablation'?"),
        ("xyz", ["ablation", "metric"], "known: ablation, metric"),
        ("xyz", [], ""),
        ("md", iter(["md", "html"]), "did you mean 'md'?"),
    ],
)
def test_the_nearest_known_name_is_offered(word: str, known: list[str], remedy: str) -> None:
    assert nearest(word, known) == remedy
