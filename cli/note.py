"""`iwb note`: a remark on a step, an artifact or the whole investigation."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.host import host
from sessions.database import examine
from sessions.errors import CallError


def answer(options: argparse.Namespace) -> int:
    if not options.text.strip():
        raise CallError("the note is empty", remedy="write what you want to remember")
    examine(Path(options.file))
    with host(Path(options.file)) as place:
        place.note(options.text, step=options.step, artifact=options.artifact)
    return 0
