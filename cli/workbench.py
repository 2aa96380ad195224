"""`iwb FILE.iwb`: the screen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sessions.errors import CallError


def answer(options: argparse.Namespace) -> int:
    return open_workbench(Path(options.file or "investigation.iwb"))


def open_workbench(path: Path) -> int:
    """Show the screen on that session until the person leaves. CallError, before painting, if it is not ours."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CallError("the workbench needs a terminal", remedy="without one, use iwb run, iwb show or iwb demo")
    if path.suffix != ".iwb":
        raise CallError("a session file's name ends in .iwb", str(path), f"use {path.name}.iwb")
    from sessions.database import examine

    if path.exists():
        examine(path)
    elif not path.parent.is_dir():
        raise CallError("its folder does not exist", str(path), f"make {path.parent} first")
    from tui.app import run_app

    return run_app(path)
