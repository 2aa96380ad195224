"""`iwb attach`: the engines that are running, and the way back to one."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from cli.progress import duration
from cli.workbench import open_workbench
from engine.server.places import running
from sessions.errors import CallError, IwbError
from sessions.file import SessionFile


def answer(options: argparse.Namespace) -> int:
    engines = running()
    if options.number is not None:
        if not 1 <= options.number <= len(engines):
            raise CallError(f"there is no engine {options.number}", remedy=f"{len(engines)} run; see iwb attach")
        return open_workbench(Path(engines[options.number - 1].file))
    if len(engines) == 1 and sys.stdin.isatty() and sys.stdout.isatty():
        return open_workbench(Path(engines[0].file))
    if not engines:
        print("no engine is running")
    for number, engine in enumerate(engines, start=1):
        since = duration(time.time() - engine.started)
        print(f"{number}  {engine.file}  {_doing(Path(engine.file))}  process {engine.pid}, for {since}")
    if engines:
        print("\niwb attach NUMBER opens one")
    return 0


def _doing(path: Path) -> str:
    try:
        with SessionFile.open(path, readonly=True) as session:
            active = [step for step in session.steps() if step.status in ("running", "cancelling")]
    except IwbError as error:  # the file was taken away: its engine ends in a moment
        return error.what
    return f"running step {active[0].id} {active[0].operation}" if active else "idle"
