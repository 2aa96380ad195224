"""`iwb export`: the investigation as Markdown, HTML, a notebook, a recipe or JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sessions.errors import CallError
from sessions.export import export
from sessions.file import SessionFile


def answer(options: argparse.Namespace) -> int:
    with SessionFile.open(Path(options.file), readonly=True) as session:
        text = export(session, options.to)
    if not options.output:
        sys.stdout.write(text)
        return 0
    try:
        Path(options.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CallError(f"cannot be written ({error.strerror})", options.output, "choose another file") from None
    print(f"wrote {options.output} ({len(text.encode()):,} bytes)", file=sys.stderr)
    return 0
