"""`iwb bench`: what is measured rather than asserted. The benchmarks live in tests/benchmarks/ of a source checkout."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import msgspec

from sessions.errors import CallError, IwbError, nearest

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "benchmarks"


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. `ratio` is peer / ours where less is better: above 1, ours is the better one."""

    name: str
    ours: float
    peer: float
    ratio: float
    unit: str
    peer_name: str = ""
    note: str = ""


def answer(options: argparse.Namespace) -> int:
    known = {path.stem.removeprefix("bench_"): path for path in sorted(FOLDER.glob("bench_*.py"))}
    if not known:
        raise IwbError("the benchmarks are not installed", str(FOLDER), "run this from a source checkout")
    if options.name and options.name not in known:
        raise CallError(f"there is no benchmark '{options.name}'", remedy=nearest(options.name, known))
    rows: list[Measurement] = []
    for name, path in known.items():
        if options.name in ("", name):
            print(f"measuring {name} ...", file=sys.stderr)
            rows += [msgspec.convert(row, Measurement) for row in _measure(name, path)]
    if options.json:
        print(msgspec.json.encode({"benchmarks": rows}).decode())
    else:
        print(_table(rows))
    return 0


def _measure(name: str, path: Path) -> list[dict[str, Any]]:
    checkout = str(FOLDER.parent.parent)
    if checkout not in sys.path:  # a benchmark may share what the tests are made of
        sys.path.append(checkout)
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    measured: list[dict[str, Any]] = module.measure()
    return measured


def _table(rows: list[Measurement]) -> str:
    cells = [("benchmark", "ours", "peer", "ratio", "against")]
    for row in rows:
        ours, peer = (f"{value:,.4g} {row.unit}" for value in (row.ours, row.peer))
        cells.append((row.name, ours, peer, f"{row.ratio:.2f}", row.peer_name))
    widths = [max(len(line[i]) for line in cells) for i in range(5)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in cells]
    notes = [f"{row.name}: {row.note}" for row in rows if row.note]
    return "\n".join(lines + [""] * bool(notes) + notes)
