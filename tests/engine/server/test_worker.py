"""The worker: what is asked is done once, can be stopped, goes on where it stopped, and tells what it does."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine.server.context import StepContext
from engine.server.protocol import Event, Partial, Progress, StepChanged
from engine.server.worker import Worker
from sessions.artifacts import Axis, Matrix, Series
from sessions.errors import CallError
from sessions.file import SessionFile

from .conftest import counted, wait_until


def finished(worker: Worker, name: str, values: dict[str, object] | None = None, **more: object) -> int:
    accepted = worker.submit(name, values or {}, **more).result()  # type: ignore[arg-type]
    worker.work_until_idle()
    return accepted.step


def test_a_step_is_recorded_before_it_runs_and_finished_with_its_environment(
    worker: Worker, session: SessionFile
) -> None:
    accepted = worker.submit("test.count", {"n": "3"}, seed=7).result()
    assert session.step(accepted.step).status == "queued"
    assert session.step(accepted.step).parameters == {"n": 3, "pause": 0.0}  # defaults are written down too
    worker.work_until_idle()
    step = session.step(accepted.step)
    assert (step.status, step.seed) == ("done", 7)
    assert step.environment.python
    assert step.environment.peak_memory_bytes > 2**20
    (stored,) = session.artifacts(step.id)
    artifact = session.artifact(stored.id)
    assert isinstance(artifact, Matrix)
    np.testing.assert_array_equal(artifact.values, [[7, 8, 11]])


def test_identical_work_is_not_done_twice_unless_asked(worker: Worker) -> None:
    first = finished(worker, "test.count")
    assert worker.submit("test.count", {"n": 5}).result().cached
    assert finished(worker, "test.count") == first
    assert finished(worker, "test.count", seed=1) != first
    assert finished(worker, "test.count", again=True) not in (first, first + 1)


def test_references_are_followed_by_content_not_by_number(worker: Worker, session: SessionFile) -> None:
    finished(worker, "test.count", {"n": 2})
    finished(worker, "test.count", {"n": 2}, again=True)
    first = finished(worker, "test.double", {"matrix": "@1"})
    assert finished(worker, "test.double", {"matrix": "@2"}) == first  # the same matrix under another number
    assert session.step(first).inputs == {"matrix": 1}
    assert session.step(first).parameters["matrix"] == "@1"


def test_each_of_a_list_is_an_input_and_counts_by_its_content(worker: Worker, session: SessionFile) -> None:
    finished(worker, "test.count", {"n": 2})
    finished(worker, "test.count", {"n": 3})
    finished(worker, "test.count", {"n": 2}, again=True)
    finished(worker, "models.load", {"source": "m"})
    first = finished(worker, "test.cross", {"models": "@4", "matrices": "@1,@last"})
    step = session.step(first)
    assert step.inputs == {"models[0]": 4, "matrices[0]": 1, "matrices[1]": 3}
    assert step.parameters == {"models": ["@4"], "matrices": ["@1", "@3"]}
    assert step.command == "test.cross models=@4 matrices=@1,@3"
    assert finished(worker, "test.cross", {"models": ["4"], "matrices": ["@3", "@1"]}) == first  # the same, twice
    assert finished(worker, "test.cross", {"models": "@4", "matrices": "@1,@2"}) != first
    assert finished(worker, "test.cross", {"models": "@4", "matrices": "@2,@1"}) not in (first, first + 1)
    with pytest.raises(CallError, match=r"parameter 'matrices': @4 is a model, not a matrix"):
        worker.submit("test.cross", {"models": "@4", "matrices": "@1,@4"}).result()


def test_a_rerun_follows_a_list_to_what_was_made_again(worker: Worker, session: SessionFile) -> None:
    finished(worker, "models.load", {"source": "m"})
    finished(worker, "test.count", {"n": 2})
    finished(worker, "test.count", {"n": 3})
    finished(worker, "test.cross", {"models": "@1", "matrices": "@2,@3"})
    worker.rerun(2)
    worker.work_until_idle()
    steps = session.steps()[4:]
    assert [(s.operation, s.inputs) for s in steps] == [
        ("test.count", {}),
        ("test.cross", {"models[0]": 1, "matrices[0]": 5, "matrices[1]": 3}),
    ]


def test_last_is_the_newest_of_the_kind_that_fits(worker: Worker, session: SessionFile) -> None:
    with pytest.raises(CallError, match="there is no matrix in the session yet"):
        worker.submit("test.double", {"matrix": "@last"}).result()
    finished(worker, "test.count", {"n": 1})
    finished(worker, "test.count", {"n": 2})
    assert session.step(finished(worker, "test.double", {"matrix": "@last"})).inputs == {"matrix": 2}


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("test.cuont", {}, "unknown operation 'test.cuont'; did you mean 'test.count'?"),
        ("test.count", {"m": 1}, "unknown parameter 'm'"),
        ("test.count", {"n": 0}, "out of range"),
        ("test.double", {"matrix": "@77"}, "there is no artifact @77"),
        ("test.double", {"matrix": "matrix"}, "is not a reference"),
    ],
)
def test_a_wrong_call_records_nothing(
    worker: Worker, session: SessionFile, name: str, values: dict[str, object], sentence: str
) -> None:
    with pytest.raises(CallError, match=sentence.replace("?", r"\?")):
        worker.submit(name, values).result()
    assert session.steps() == ()


def test_a_changed_file_is_other_work(worker: Worker, tmp_path: Path) -> None:
    finished(worker, "test.count")
    file = tmp_path / "data.txt"
    file.write_text("one")
    values = {"matrix": "@1", "path": "data.txt"}
    first = finished(worker, "test.double", values, folder=str(tmp_path))
    assert finished(worker, "test.double", values, folder=str(tmp_path)) == first
    file.write_text("two")
    assert finished(worker, "test.double", values, folder=str(tmp_path)) != first


def test_cancel_keeps_what_is_done_and_resume_does_only_the_rest(working: Worker, session: SessionFile) -> None:
    step = working.submit("test.count", {"n": 30, "pause": 0.05}).result().step
    wait_until(lambda: len(counted) >= 3)
    working.cancel(step)
    wait_until(lambda: session.step(step).status == "cancelled")
    before = len(counted)
    assert before < 30
    assert len(session.checkpoints(step)) == before
    working.resume(step)
    wait_until(lambda: session.step(step).status == "done")
    assert sorted(counted) == list(range(30))  # every unit exactly once
    undisturbed = working.submit("test.count", {"n": 30, "pause": 0.0}).result().step
    wait_until(lambda: session.step(undisturbed).status == "done")
    shas = [session.artifacts(number)[0].sha256 for number in (step, undisturbed)]
    assert shas[0] == shas[1]


def test_asking_again_for_cancelled_work_goes_on_with_it(working: Worker, session: SessionFile) -> None:
    step = working.submit("test.count", {"n": 20, "pause": 0.01}).result().step
    wait_until(lambda: len(counted) >= 2)
    working.cancel(step)
    wait_until(lambda: session.step(step).status == "cancelled")
    assert working.submit("test.count", {"n": 20, "pause": 0.01}).result().step == step
    wait_until(lambda: session.step(step).status == "done")
    assert sorted(counted) == list(range(20))


def test_a_queued_step_can_be_cancelled(worker: Worker, session: SessionFile) -> None:
    step = worker.submit("test.count", {}).result().step
    worker.cancel(step)
    worker.work_until_idle()
    assert session.step(step).status == "cancelled"
    assert counted == []
    with pytest.raises(CallError, match="cancelled, not running"):
        worker.cancel(step)


def test_stopping_the_worker_interrupts_the_running_step(session: SessionFile, working: Worker) -> None:
    step = working.submit("test.count", {"n": 50, "pause": 0.01}).result().step
    wait_until(lambda: len(counted) >= 2)
    working.stop()
    wait_until(lambda: session.step(step).status == "interrupted")


def test_a_question_is_answered_between_the_batches_of_a_long_step(working: Worker, session: SessionFile) -> None:
    first = working.submit("test.count", {"n": 2}).result().step
    wait_until(lambda: session.step(first).status == "done")
    long = working.submit("test.count", {"n": 100, "pause": 0.02}).result().step
    wait_until(lambda: session.step(long).status == "running")
    question = working.submit("test.double", {"matrix": "@1"}).result().step
    wait_until(lambda: session.step(question).status == "done")
    assert session.step(long).status == "running"
    working.cancel(long)


def test_an_error_of_ours_keeps_its_details_and_an_expected_one_is_a_sentence(
    worker: Worker, session: SessionFile
) -> None:
    bug = session.step(finished(worker, "test.crash"))
    assert bug.status == "failed"
    assert bug.error is not None
    assert "this is a bug in iwb: ZeroDivisionError" in str(bug.error)
    assert "\n" not in str(bug.error)
    assert "one over nothing" in bug.error.traceback
    expected = session.step(finished(worker, "test.refuse"))
    assert str(expected.error) == "here: it does not work; do something else"


def test_progress_and_partial_results_come_at_most_ten_times_a_second(worker: Worker, events: list[Event]) -> None:
    finished(worker, "test.count", {"n": 400, "pause": 0.0005})
    seconds = worker.session.step(1).seconds
    assert len([e for e in events if isinstance(e, Progress)]) <= 10 * seconds + 3
    partial = [e for e in events if isinstance(e, Partial)]
    assert 1 <= len(partial) <= 10 * seconds + 2
    artifact = partial[-1].artifact()
    assert isinstance(artifact, Matrix)
    assert np.isnan(artifact.values[0, -1])
    statuses = [e.step.status for e in events if isinstance(e, StepChanged)]
    assert statuses == ["queued", "running", "done"]


def test_each_kind_of_partial_result_has_its_own_ten_a_second() -> None:
    said: list[Event] = []
    job = SimpleNamespace(submission=SimpleNamespace(seed=0), step=1)
    ctx = StepContext(SimpleNamespace(emit=said.append), job)  # type: ignore[arg-type]
    started = time.monotonic()
    for done in range(60):
        ctx.partial(Matrix(title="so far", values=np.full((1, 1), done), axes=(Axis("a"), Axis("b"))))
        ctx.partial(Series(title="so far", x=np.arange(done), x_name="x", curves=()))
        time.sleep(0.005)
    seconds = time.monotonic() - started
    kinds = [event.artifact().kind for event in said if isinstance(event, Partial)]
    for kind in ("matrix", "series"):
        assert 2 <= kinds.count(kind) <= 10 * seconds + 1


def test_rerun_repeats_a_step_and_all_that_stands_on_it(worker: Worker, session: SessionFile) -> None:
    finished(worker, "test.count", {"n": 2})
    finished(worker, "test.count", {"n": 3})
    finished(worker, "test.double", {"matrix": "@1"})
    (accepted,) = worker.rerun(1)
    worker.work_until_idle()
    steps = session.steps()
    assert accepted.step == 4
    assert [(s.operation, s.inputs) for s in steps[3:]] == [("test.count", {}), ("test.double", {"matrix": 4})]
    assert all(s.status == "done" for s in steps)
