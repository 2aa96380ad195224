"""The worker under several hands at once: stopping, resuming, waiting for a model, a disk that is full."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.server.protocol import Event, StepChanged
from engine.server.submission import fingerprint
from engine.server.worker import Worker
from sessions.errors import CallError, CancelledError, IwbError
from sessions.file import SessionFile

from .conftest import counted, wait_until


def test_whoever_waits_for_a_model_hears_that_its_queued_loading_was_cancelled(
    worker: Worker, session: SessionFile
) -> None:
    answer = worker.submit("test.ask", {"model": "some"})
    worker.cancel(1)
    with pytest.raises(CancelledError, match="loading some was cancelled"):
        answer.result(timeout=0)


def test_two_models_named_by_their_sources_are_loaded_one_after_the_other(worker: Worker, session: SessionFile) -> None:
    answer = worker.submit("test.ask", {"model": "one", "other": "two"})
    worker.work_until_idle()
    assert session.step(answer.result(timeout=0).step).inputs == {"model": 1, "other": 2}


def test_models_of_a_list_named_by_their_sources_are_loaded_first(worker: Worker, session: SessionFile) -> None:
    answer = worker.submit("test.cross", {"models": "one,two,one"})
    worker.work_until_idle()
    step = session.step(answer.result(timeout=0).step)
    assert step.inputs == {"models[0]": 1, "models[1]": 2, "models[2]": 1}
    assert [s.operation for s in session.steps()] == ["models.load", "models.load", "test.cross"]


def test_a_questions_model_is_loaded_between_the_batches_too(working: Worker, session: SessionFile) -> None:
    long = working.submit("test.count", {"n": 500, "pause": 0.01}).result().step
    wait_until(lambda: len(counted) >= 2)
    question = working.submit("test.ask", {"model": "some"}).result(timeout=4).step
    wait_until(lambda: session.step(question).status == "done")
    assert session.step(long).status == "running"
    working.cancel(long)


def test_a_broken_question_does_not_harm_the_long_step(
    working: Worker, session: SessionFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = working.submit("test.count", {"n": 2}).result().step
    wait_until(lambda: session.step(first).status == "done")
    long = working.submit("test.count", {"n": 40, "pause": 0.02}).result().step
    wait_until(lambda: len(counted) >= 4)
    tell = working._tell

    def breaks(number: int, *rest: object) -> None:
        if number != long:
            raise CallError("the file is locked by another program")
        tell(number)

    monkeypatch.setattr(working, "_tell", breaks)
    working.submit("test.double", {"matrix": "@1"})
    wait_until(lambda: session.step(long).status not in ("queued", "running"))
    assert session.step(long).status == "done"


def test_two_who_resume_at_once_run_it_once(worker: Worker, session: SessionFile) -> None:
    step = worker.submit("test.count", {}).result().step
    worker.cancel(step)
    together = threading.Barrier(2)

    def resume() -> int:
        together.wait()
        try:
            return worker.resume(step).step
        except CallError:
            return 0

    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(resume) for _ in range(2)]
        assert sorted(a.result() for a in answers) == [0, step]
    worker.work_until_idle()
    assert len(session.artifacts(step)) == 1


def test_a_step_that_just_finished_stays_done_when_cancelled(
    worker: Worker, session: SessionFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = worker.submit("test.count", {}).result().step
    finish = session.finish

    def finish_then_cancel(*args: object, **more: object) -> object:
        result = finish(*args, **more)  # type: ignore[arg-type]
        worker.cancel(step)
        return result

    monkeypatch.setattr(session, "finish", finish_then_cancel)
    worker.work_until_idle()
    assert session.step(step).status == "done"


def test_stopping_interrupts_what_waits_and_takes_nothing_more(working: Worker, session: SessionFile) -> None:
    working.submit("test.count", {"n": 50, "pause": 0.01})
    waits = working.submit("test.count", {"n": 3}).result().step
    wait_until(lambda: len(counted) >= 2)
    working.stop()
    wait_until(lambda: session.step(waits).status == "interrupted")
    with pytest.raises(IwbError, match="the engine is ending"):
        working.submit("test.count", {"n": 4})


def test_a_step_stopped_by_a_full_disk_is_told_and_can_go_on(
    worker: Worker, session: SessionFile, events: list[Event]
) -> None:
    step = worker.submit("test.count", {"n": 600}).result().step
    pages = session._db.execute("PRAGMA page_count").fetchone()[0]
    session._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own way to act out a full disk
    stop = session.stop
    session.stop = _full  # type: ignore[method-assign]
    worker.work_until_idle()
    session.stop = stop  # type: ignore[method-assign]
    last = [e.step for e in events if isinstance(e, StepChanged)][-1]
    assert last.status == "failed"
    assert "the disk is full" in str(last.error)
    session._db.execute("PRAGMA max_page_count = 1000000")
    assert worker.submit("test.count", {"n": 600}).result().step == step
    worker.work_until_idle()
    assert session.step(step).status == "done"


def _full(*args: object, **more: object) -> None:
    raise IwbError("the disk is full; nothing in the file was lost")


def test_a_step_does_not_go_on_over_a_changed_file(worker: Worker, session: SessionFile, tmp_path: Path) -> None:
    worker.submit("test.count", {"n": 2})
    worker.work_until_idle()
    file = tmp_path / "input.txt"
    file.write_text("one")
    step = worker.submit("test.double", {"matrix": "@1", "path": "input.txt"}, folder=str(tmp_path)).result().step
    worker.cancel(step)
    file.write_text("two")
    with pytest.raises(CallError, match=r"has changed since.*run it again as a new step"):
        worker.resume(step)
    file.write_text("one")
    assert worker.resume(step).step == step


def test_the_same_model_loaded_twice_is_the_same_input(worker: Worker, session: SessionFile) -> None:
    for again in (False, True):
        worker.submit("models.load", {"source": "some"}, again=again)
        worker.work_until_idle()
    first = worker.submit("test.ask", {"model": "@1"}).result().step
    worker.work_until_idle()
    assert worker.submit("test.ask", {"model": "@2"}).result().step == first


def test_a_fingerprint_counts_names_and_the_configuration_beside(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "a").write_text("1")
    before = fingerprint(folder)
    (folder / "a").rename(folder / "b")
    assert fingerprint(folder) != before
    weights = tmp_path / "w.safetensors"
    weights.write_text("weights")
    (tmp_path / "w.json").write_text("{}")
    before = fingerprint(weights)
    (tmp_path / "w.json").write_text('{"n_ctx": 5}')
    assert fingerprint(weights) != before


def test_names_no_file_can_have_are_left_to_the_operation(worker: Worker, session: SessionFile) -> None:
    worker.submit("test.count", {"n": 2})
    worker.work_until_idle()
    for name in ("x" * 5000, "~nobody-of-that-name/x", "a\0b"):
        assert worker.submit("test.double", {"matrix": "@1", "path": name}).result().step


def test_a_home_folder_is_found(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.txt").write_text("one")
    worker.submit("test.count", {"n": 2})
    worker.work_until_idle()
    step = worker.submit("test.double", {"matrix": "@1", "path": "~/mine.txt"}, folder="/").result().step
    assert worker.session.step(step).parameters["path"] == str(tmp_path / "mine.txt")


@pytest.mark.parametrize("seed", [-1, 2**63, 10**30])
def test_a_seed_out_of_range_is_refused(worker: Worker, session: SessionFile, seed: int) -> None:
    with pytest.raises(CallError, match="out of range"):
        worker.submit("test.count", {}, seed=seed)
    assert session.steps() == ()


def test_enormous_ids_are_unknown_ids(worker: Worker, session: SessionFile) -> None:
    with pytest.raises(CallError, match="there is no artifact @"):
        worker.submit("test.double", {"matrix": f"@{10**30}"})
    with pytest.raises(CallError, match="there is no step"):
        session.step(10**30)
