"""`iwb ops`, `models`, `prompts` and `doctor`: what there is."""

from __future__ import annotations

import argparse
import os
from typing import Any

import msgspec

from engine.catalogue import OPERATIONS
from engine.catalogue import operation as find_operation
from engine.operations import describe
from engine.server.facts import facts
from sessions.parameters import FieldInfo, OperationInfo


def answer(options: argparse.Namespace) -> int:
    match options.command:
        case "ops":
            _operations(options.operation, as_json=options.json)
        case "doctor":
            document = {**facts("doctor"), "terminal": terminal()}
            print(msgspec.json.encode(document).decode() if options.json else "\n".join(_lines(document)))
        case topic:
            document = facts(topic)
            print(msgspec.json.encode(document).decode() if options.json else _catalogue(document[topic], topic))
    return 0


def _operations(name: str, *, as_json: bool) -> None:
    if name:
        info = describe(find_operation(name))
        print(msgspec.json.encode(info).decode() if as_json else in_full(info))
        return
    infos = [describe(operation) for operation in OPERATIONS]
    if as_json:
        print(msgspec.json.encode({"operations": infos}).decode())
        return
    width = max(len(info.name) for info in infos)
    for info in infos:
        print(f"{info.name:<{width}}  {info.title}")
    print("\niwb ops OPERATION tells one in full")


def in_full(info: OperationInfo) -> str:
    """An operation as help text: what it gives, its parameters with type, default, bounds and meaning."""
    lines = [f"{info.name} (version {info.version}): {info.title}", "", info.summary, ""]
    rows = [(field.name, _type(field), _default(field), field.help) for field in info.fields]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    for row in rows:
        lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + "  " + row[3])
    lines += ["", f"gives: {', '.join(info.gives)}"]
    if info.source:
        lines.append(f"source: {info.source}")
    return "\n".join(lines)


def operations_as_markdown() -> str:
    """docs/operations.md: the whole catalogue, each operation as `iwb ops OPERATION` tells it."""
    lines = ["# Operations", "", "Made from the catalogue by `python -P -m cli.listing`.", ""]
    for operation in OPERATIONS:
        info = describe(operation)
        lines += [f"## {info.name}", "", f"**{info.title}.** {info.summary}", ""]
        if info.fields:
            lines += ["| parameter | type | default | |", "| --- | --- | --- | --- |"]
            lines += [
                f"| `{f.name}` | {_type(f).replace('|', ', ')} | {_default(f).removeprefix('= ')} | {f.help} |"
                for f in info.fields
            ]
            lines.append("")
        lines.append(f"Gives: {', '.join(info.gives)}." + (f" Source: {info.source}." if info.source else ""))
        lines.append("")
    return "\n".join(lines)


def _type(field: FieldInfo) -> str:
    if field.choices:
        return "|".join(field.choices)
    if field.text:
        return field.text
    if field.type == "artifact":
        return f"@{field.kind}"
    if field.type == "artifacts":
        return f"@{field.kind},..."
    low = "" if field.minimum is None else f"{field.minimum:g}"
    high = "" if field.maximum is None else f"{field.maximum:g}"
    return field.type + (f" {low}..{high}" if low or high else "")


def _default(field: FieldInfo) -> str:
    if field.required:
        return "required"
    return (
        f"= {msgspec.json.encode(field.default).decode()}"
        if not isinstance(field.default, str)
        else f"= {field.default}"
    )


def _catalogue(entries: list[dict[str, Any]], topic: str) -> str:
    name = "source" if topic == "models" else "name"
    lines: list[str] = []
    for entry in entries:
        lines.append(str(entry[name]))
        for key, value in entry.items():
            if key != name and value not in ("", None, [], ()):
                lines += [f"    {key}: {_short(value)}"] if len(_short(value)) < 100 else [f"    {key}:", *_long(value)]
    if topic == "models":
        lines += [
            "",
            "Also: a Hugging Face name (gpt2), a checkpoint folder, weights.safetensors with its .json beside it, a",
            "recurrent network's .pt (docs/your_rnn.md), or a compiled model's folder (docs/compiled_models.md):",
            "iwb run my.iwb models.load source=...",
        ]
    else:
        lines += ["", "Also: your own CSV, JSONL or JSON file: iwb run my.iwb prompts.open path=..."]
    return "\n".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _long(value: Any) -> list[str]:
    return [f"        {item}" for item in value] if isinstance(value, list | tuple) else [f"        {value}"]


def terminal() -> dict[str, Any]:
    """What the terminal says of itself."""
    return {
        name: os.environ[name]
        for name in ("TERM", "COLORTERM", "NO_COLOR", "LANG", "SSH_CONNECTION")
        if name in os.environ
    }


def _lines(value: dict[str, Any], depth: int = 0) -> list[str]:
    lines: list[str] = []
    for key, item in value.items():
        name = "  " * depth + key.replace("_", " ")
        if key.endswith("_bytes") and isinstance(item, int):
            lines.append(f"{name.removesuffix(' bytes')}: {item / 2**30:.1f} GiB")
        elif isinstance(item, dict):
            lines += [name + ":", *_lines(item, depth + 1)]
        elif isinstance(item, list):
            lines += [f"{name}: " + "; ".join(", ".join(_lines(i)) if isinstance(i, dict) else str(i) for i in item)]
        else:
            lines.append(f"{name}: {item}")
    return lines


if __name__ == "__main__":
    print(operations_as_markdown(), end="")
