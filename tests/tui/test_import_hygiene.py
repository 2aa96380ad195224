"""What each part loads, seen from a fresh interpreter: the screen no torch, the engine no Textual, `iwb show` neither.

(What the screen loads while its views are shown is in `test_start.py`.)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sessions.file import SessionFile

NUMERICS = ("torch", "transformers", "transformer_lens", "pandas", "matplotlib", "scipy")
SAY = "\nimport sys; print('loaded:', *(name for name in {watched} if name in sys.modules))"
CALL = "from cli.main import main\nassert main({words!r}) == 0"


def loaded(script: str, *watched: str) -> list[str]:
    """Which of those modules are there after the script."""
    text = script + SAY.format(watched=watched)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_watch_sees_what_is_loaded() -> None:
    assert loaded("import numpy", "numpy", "torch") == ["numpy"]


def test_making_the_app_loads_no_numerics_and_no_operations() -> None:
    script = "from pathlib import Path\nfrom tui.app import IwbApp\nIwbApp(Path('never.iwb'))"
    assert loaded(script, *NUMERICS, "engine.catalogue", "engine.models", "engine.operations") == []


def test_the_first_paint_does_not_wait_for_numpy() -> None:
    script = "from pathlib import Path\nfrom tui.app import IwbApp\nimport tui.panes.model\nIwbApp(Path('never.iwb'))"
    assert loaded(script, "numpy", "safetensors", "sqlite3") == []


def test_the_engine_starts_without_the_screen_and_without_torch() -> None:
    assert loaded("import engine.server.process", *NUMERICS, "textual", "tui", "themes") == []


@pytest.mark.parametrize("words", [["--version"], ["show", "a.iwb"], ["show", "a.iwb", "--json"]], ids=" ".join)
def test_a_short_answer_loads_neither_torch_nor_textual(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SessionFile.open(Path("a.iwb"), create=True).close()
    assert loaded(CALL.format(words=words), *NUMERICS, "textual", "engine.catalogue") == []
