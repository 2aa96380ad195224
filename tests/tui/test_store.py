"""The screen's state takes in protocol events, in any order they come."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from engine.server.protocol import (
    EngineStatus,
    Event,
    Goodbye,
    LogLine,
    NotesChanged,
    Partial,
    Progress,
    StepChanged,
)
from sessions.artifacts import Matrix, Series
from sessions.steps import Note, Step
from tests.tui.fake import CATALOGUE, a_model, a_sweep, investigation
from tui.link import Snapshot
from tui.store import CACHE_ARTIFACTS, Store


def a_step(number: int, status: str = "running") -> Step:
    return Step(
        id=number,
        operation="circuits.head_sweep",
        version=1,
        parameters={},
        seed=0,
        key="k",
        status=status,
        created=0.0,
    )  # type: ignore[arg-type]


def filled() -> Store:
    file, store = investigation(), Store()
    store.take(Snapshot(tuple(file.steps.values()), tuple(file.stored.values()), (), {}))
    return store


EVENTS: list[tuple[Event, set[str]]] = [
    (StepChanged(step=a_step(9)), {"steps"}),
    (StepChanged(step=a_step(9, "done")), {"steps", "progress", "partials"}),
    (Progress(step=9, done=1, total=4, elapsed=1.0), {"progress"}),
    (Partial.of(9, a_sweep(3)), {"partials"}),
    (NotesChanged(notes=(Note(id=1, created=0.0, text="x"),)), {"notes"}),
    (LogLine(text="loading"), {"log"}),
    (EngineStatus(state="ready"), {"engine", "progress", "steps"}),
    (Goodbye(reason="asked to end"), {"log", "engine"}),
]


@pytest.mark.parametrize(("event", "parts"), EVENTS, ids=lambda v: type(v).__name__)
def test_each_event_says_which_parts_changed(event: Event, parts: set[str]) -> None:
    store, heard = Store(), set[str]()
    store.listen(lambda changes: heard.update(changes))
    store.apply(event)
    assert heard == parts


def test_a_finished_step_drops_its_progress_and_partial_but_a_cancelled_one_keeps_what_it_has() -> None:
    for status, kept in (("done", False), ("cancelled", True)):
        store = Store()
        store.apply(StepChanged(step=a_step(1)))
        store.apply(Progress(step=1, done=3, total=24, elapsed=1.0))
        store.apply(Partial.of(1, a_sweep(3)))
        store.apply(StepChanged(step=a_step(1, status)))
        assert 1 not in store.progress
        assert (1 in store.partials) is kept


def test_of_each_kind_the_newest_partial_result_is_kept_and_the_first_kind_stays_in_front() -> None:
    store = Store()
    store.apply(StepChanged(step=a_step(1)))
    curve = Series(title="held out", x=np.arange(2), x_name="heads removed", curves=())
    for partial in (a_sweep(3), curve, a_sweep(5)):
        store.apply(Partial.of(1, partial))
    assert [part.kind for part in store.partials_of(1)] == ["matrix", "series"]
    newest = store.partials_of(1)[0]
    assert isinstance(newest, Matrix)
    assert np.array_equal(newest.values, a_sweep(5).values, equal_nan=True)
    assert not np.array_equal(newest.values, a_sweep(3).values, equal_nan=True)
    assert store.partials[1].kind == "matrix"
    store.apply(StepChanged(step=a_step(1, "done")))
    assert store.partials_of(1) == ()


def test_a_late_progress_of_an_ended_step_is_dropped() -> None:
    store = Store()
    store.apply(StepChanged(step=a_step(1, "done")))
    store.apply(Progress(step=1, done=3, total=24, elapsed=1.0))
    store.apply(Partial.of(1, a_sweep(3)))
    assert not store.progress
    assert not store.partials


def test_what_an_event_said_after_the_read_began_wins_over_the_snapshot() -> None:
    store = Store()
    store.expect_snapshot()
    store.apply(StepChanged(step=a_step(1, "done")))
    store.take(Snapshot((a_step(1, "running"), a_step(2, "queued")), (), (), {}))
    assert [s.status for s in store.steps] == ["done", "queued"]


def test_the_horizon_hides_later_steps_and_their_artifacts() -> None:
    store = filled()
    store.set_horizon(2)
    assert [s.id for s in store.steps] == [1, 2]
    assert [a.id for a in store.artifacts] == [1, 2]
    assert store.newest("matrix") is None
    assert len(store.all_steps) == 6
    store.set_horizon(None)
    assert store.newest("matrix") is not None


def test_losing_the_engine_marks_running_steps_interrupted() -> None:
    store = Store()
    store.apply(StepChanged(step=a_step(1)))
    store.apply(StepChanged(step=a_step(2, "done")))
    store.apply(EngineStatus(state="lost"))
    assert [s.status for s in store.steps] == ["interrupted", "done"]
    assert store.front_job() is None


def test_the_front_job_is_the_running_one_before_the_queued() -> None:
    store = Store()
    store.apply(StepChanged(step=a_step(1, "queued")))
    store.apply(StepChanged(step=a_step(2, "running")))
    front = store.front_job()
    assert front is not None
    assert front.id == 2


def test_the_cache_of_loaded_artifacts_is_bounded_and_keeps_the_newly_used() -> None:
    store = Store()
    for number in range(CACHE_ARTIFACTS):
        store.keep(number, a_model())
    store.loaded(0)
    store.keep(CACHE_ARTIFACTS, a_model())
    assert store.loaded(0) is not None
    assert store.loaded(1) is None


def test_the_catalogue_is_found_by_name() -> None:
    store = Store()
    store.set_catalogue(CATALOGUE)
    assert store.catalogue["models.load"].fields[0].name == "source"


def test_a_listener_may_stop_listening_while_it_is_told() -> None:
    store, heard = Store(), []
    stop = store.listen(lambda _: (heard.append(1), stop())[0])
    store.note_log("one")
    store.note_log("two")
    assert heard == [1]


def test_notes_are_found_by_what_they_are_on() -> None:
    store = Store()
    notes = (
        Note(id=1, created=0.0, text="on step", step=1),
        Note(id=2, created=0.0, text="on result", artifact=1),
        Note(id=3, created=0.0, text="on all"),
    )
    store.apply(NotesChanged(notes=notes))
    assert [n.text for n in store.notes_on(step=1)] == ["on step"]
    assert [n.text for n in store.notes_on(artifact=1)] == ["on result"]
    assert [n.text for n in store.notes_on()] == ["on all"]


def test_steps_are_frozen_values() -> None:
    with pytest.raises(AttributeError):
        a_step(1).status = "done"  # type: ignore[misc]
    assert msgspec.structs.replace(a_step(1), status="done").status == "done"
