"""Call `iwb` in this process, from a folder of its own, and see what it printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from cli.main import main


class Said(NamedTuple):
    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as its one JSON document."""
        assert self.status == 0, self.err
        return msgspec.json.decode(self.out)

    @property
    def sentence(self) -> str:
        """The one line on standard error."""
        lines = [line for line in self.err.splitlines() if line.startswith("iwb: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err + self.out
        return lines[0]


Call = Callable[..., Said]


@pytest.fixture
def iwb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IWB_RUNTIME_DIR", str(tmp_path / "run"))

    def call(*words: str) -> Said:
        capsys.readouterr()
        status = main(list(words))
        return Said(status, *capsys.readouterr())

    return call


@pytest.fixture
def loaded(iwb: Call) -> Call:
    """A session with a model (@1) and prompts (@2)."""
    iwb("run", "a.iwb", "models.load", "source=zoo:induction")
    iwb("run", "a.iwb", "prompts.make", "task=induction", "n=8", "model=@1", "--seed", "1")
    return iwb
