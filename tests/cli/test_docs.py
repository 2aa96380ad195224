"""What the documents say is what the program says."""

from __future__ import annotations

import re
from pathlib import Path

from cli.arguments import parser
from cli.listing import operations_as_markdown
from engine.catalogue import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]


def test_the_documented_operations_are_those_of_the_catalogue() -> None:
    assert (ROOT / "docs" / "operations.md").read_text() == operations_as_markdown()


def test_every_command_is_in_the_readme_and_has_help() -> None:
    readme = (ROOT / "README.md").read_text()
    _, commands = parser()
    for name, command in commands.items():
        assert command.description, name
        if name != "open":  # `iwb FILE` is how a person opens
            assert re.search(rf"iwb {name}|`{name}`", readme), f"the README does not mention iwb {name}"


def test_every_operation_in_the_readme_exists() -> None:
    names = {operation.name for operation in OPERATIONS}
    for line in re.findall(r"iwb run \S+ (\w+\.\w+)", (ROOT / "README.md").read_text()):
        assert line in names or line.endswith(".toml")


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
