"""`iwb replay`: run the recorded steps again, in a file of their own, and compare."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from cli.host import Here
from engine.executors import check
from sessions.compare import Comparison, Tolerance, compare
from sessions.errors import CallError, CancelledError, IwbError
from sessions.file import SessionFile
from sessions.steps import Step


def answer(options: argparse.Namespace) -> int:
    if options.executor:
        check(options.executor)
    tolerance = Tolerance()
    with ExitStack() as stack:
        recorded = stack.enter_context(SessionFile.open(Path(options.file), readonly=True))
        if options.output:
            path = Path(options.output)
            if path.exists():
                raise CallError("the file is there already", options.output, "name a new one to replay into")
        else:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iwb-")), "replay.iwb")
        again = stack.enter_context(SessionFile.open(path, create=True))
        place = Here(again, executor=options.executor)
        renamed: dict[int, int] = {}
        report: list[dict[str, Any]] = []
        for step in recorded.steps():
            if step.status == "done":
                report.append(_replayed(recorded, place, step, renamed, tolerance, verify=options.verify))
                if not options.json:
                    print(_line(report[-1]))
    differing = [entry for entry in report if entry["status"] != "same" and entry["status"] != "done"]
    if options.json:
        document = {"file": str(recorded.path), "tolerance": msgspec.to_builtins(tolerance), "steps": report}
        print(msgspec.json.encode(document).decode())
    elif options.verify:
        result = (
            "every step gave the same result" if not differing else f"{len(differing)} of {len(report)} steps differ"
        )
        print(f"{result} (tolerance {tolerance})")
    return 1 if differing else 0


def _replayed(
    recorded: SessionFile, place: Here, step: Step, renamed: dict[int, int], tolerance: Tolerance, *, verify: bool
) -> dict[str, Any]:
    """Run one recorded step in the new file; `renamed` maps old artifact ids to new ones, and grows."""
    entry: dict[str, Any] = {"step": step.id, "operation": step.operation}
    if missing := [number for number in step.inputs.values() if number not in renamed]:
        error = f"its input @{missing[0]} could not be made again"
        print(f"step {step.id}: {error}", file=sys.stderr)
        return {**entry, "status": "failed", "error": error}
    values = step.referring(lambda artifact: f"@{renamed[artifact]}")
    try:
        outcome = place.run(step.operation, values, seed=step.seed, again=True)
    except CancelledError:
        raise
    except IwbError as failure:
        print(f"step {step.id}: {failure}", file=sys.stderr)
        return {**entry, "status": "failed", "error": str(failure)}
    before = recorded.artifacts(step.id)
    renamed.update({old.id: new.id for old, new in zip(before, outcome.artifacts)})
    entry |= {"status": "done", "seconds": round(outcome.step.seconds, 3), "seconds_then": round(step.seconds, 3)}
    if verify:
        pairs = [(recorded.artifact(o.id), place.session.artifact(n.id)) for o, n in zip(before, outcome.artifacts)]
        weights = (recorded.weights, place.session.weights)
        comparisons = [compare(old, new, tolerance, weights) for old, new in pairs]
        count = (
            ""
            if len(before) == len(outcome.artifacts)
            else f"{len(before)} artifacts then, {len(outcome.artifacts)} now"
        )
        entry["artifacts"] = [_compared(old.id, c) for old, c in zip(before, comparisons)]
        entry["differs"] = [count] * bool(count) + [str(d) for c in comparisons for d in c.differences[:5]]
        entry["status"] = "differs" if entry["differs"] else "same"
    return entry


def _compared(number: int, comparison: Comparison) -> dict[str, Any]:
    return {
        "id": number,
        "same": comparison.same,
        "numbers": comparison.numbers,
        "largest_absolute": comparison.largest_absolute,
        "largest_relative": comparison.largest_relative,
    }


def _line(entry: dict[str, Any]) -> str:
    largest = max((a["largest_absolute"] for a in entry.get("artifacts", [])), default=0.0)
    numbers = sum(a["numbers"] for a in entry.get("artifacts", []))
    detail = f"  largest difference {largest:.1e} of {numbers:,} numbers" if numbers else ""
    lines = [f"step {entry['step']:<3} {entry['status']:<7} {entry['operation']}{detail}"]
    return "\n".join(lines + [f"      {d}" for d in entry.get("differs", [])])
