"""A session to run operations of the real catalogue in, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.server.worker import Worker
from sessions.artifacts import AnyArtifact
from sessions.file import SessionFile


class Bench:
    """`bench("rasp.compile", program=...)`: the step's artifacts. What went wrong is raised as it was recorded."""

    def __init__(self, session: SessionFile) -> None:
        self.session = session
        self.worker = Worker(session, lambda event: None)
        self.step = 0

    def __call__(self, name: str, *, seed: int = 0, **values: Any) -> list[AnyArtifact]:
        self.step = self.worker.submit(name, values, seed=seed).result().step
        self.worker.work_until_idle()
        step = self.session.step(self.step)
        if step.error is not None:
            raise step.error.error()
        assert step.status == "done"
        return [self.session.artifact(stored.id) for stored in self.session.artifacts(self.step)]

    def look(self, name: str, **values: Any) -> list[AnyArtifact]:
        """A live question: nothing of it is recorded."""
        before = len(self.session.steps())
        future = self.worker.look(name, values)
        self.worker.answer_questions()
        assert len(self.session.steps()) == before
        return list(future.result().artifacts())

    def parameters(self) -> dict[str, Any]:
        return self.session.step(self.step).parameters

    @property
    def last(self) -> int:
        return max(stored.id for stored in self.session.artifacts())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with SessionFile.open(tmp_path / "bench.iwb", create=True) as session:
        yield Bench(session)
