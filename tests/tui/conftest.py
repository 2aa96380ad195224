"""What would make the screen differ from one machine to the next is shut out here."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NO_COLOR", "IWB_COLOUR", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # not the developer's own keys
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # where mistakes are logged
    monkeypatch.chdir(tmp_path)  # what is copied is written beside the session file
    monkeypatch.setenv("TZ", "UTC")
