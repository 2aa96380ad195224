"""What rendering, recipes and exports ask of an investigation: a reading face that the session file has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sessions.artifacts import AnyArtifact
from sessions.steps import Note, Step, Stored


class Investigation(Protocol):
    """An investigation to read: its steps in order, what each left, and what people wrote beside it."""

    @property
    def path(self) -> Path:
        """The session file; its stem is the investigation's name."""
        ...

    def steps(self) -> Sequence[Step]: ...

    def artifacts(self, step: int | None = None, /) -> Sequence[Stored]:
        """What a step left (all steps when None), in order, without payloads."""
        ...

    def artifact(self, number: int, /) -> AnyArtifact: ...

    def notes(self) -> Sequence[Note]: ...
