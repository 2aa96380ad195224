"""`iwb demo`: the bundled investigation. On a terminal it opens and fills in; without one it runs and prints itself."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from cli.host import Here
from cli.perform import perform
from cli.workbench import open_workbench
from sessions.export import export
from sessions.file import SessionFile
from sessions.recipes import read

RECIPE = Path(__file__).with_name("demo.toml")


def answer(options: argparse.Namespace) -> int:
    if sys.stdin.isatty() and sys.stdout.isatty():
        return _on_screen(Path("demo.iwb"), RECIPE)
    return _report(RECIPE)


def _report(recipe_path: Path) -> int:
    """Run the recipe in a file that nobody keeps, and print what came out."""
    recipe = read(recipe_path)
    with (
        tempfile.TemporaryDirectory(prefix="iwb-demo-") as folder,
        SessionFile.open(Path(folder, "demo.iwb"), create=True) as session,
    ):
        for _ in perform(recipe, Here(session)):
            pass
        print(export(session, "md", name=recipe.name))
    return 0


def _on_screen(path: Path, recipe: Path) -> int:
    """Open the workbench on ./demo.iwb while another process hands the recipe's steps to its engine."""
    from engine.server.client import start_engine
    from engine.server.places import answers, socket_path

    if not answers(socket_path(path)):
        start_engine(path)  # first, so that the runner below finds it and does not become the engine itself
    with SessionFile.open(path, readonly=True) as session:
        fresh = not any(step.status == "done" for step in session.steps())
    if fresh:
        subprocess.Popen(
            [sys.executable, "-P", "-m", "cli.main", "run", str(path), str(recipe), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return open_workbench(path)
