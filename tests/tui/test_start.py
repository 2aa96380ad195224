"""Starting is quick because little is loaded: checked over the modules of a fresh interpreter, not over time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = (
    "torch",
    "transformers",
    "transformer_lens",
    "pandas",
    "matplotlib",
    "scipy",
    "engine.catalogue",
    "engine.models",
)
SCRIPT = """
import asyncio, sys
from pathlib import Path
from tui.app import IwbApp
from tests.tui.fake import FakeBench, settle
from tui.views import VIEWS

async def main():
    bench = FakeBench()
    async with bench.app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        for view in VIEWS:
            await bench.app.show_view(view.id)
            await settle(pilot)

before = set(sys.modules)
IwbApp(Path("never.iwb"))
print("panes:", [name for name in sys.modules if name.startswith("tui.panes.")])
asyncio.run(main())
print("heavy:", [name for name in %r if name in sys.modules])
"""


def test_the_screen_loads_no_torch_and_its_views_only_when_shown() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT % (HEAVY,)],
        cwd=Path(__file__).parents[2],  # for `tests`, which is not installed
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    panes, heavy = done.stdout.splitlines()[-2:]
    assert panes == "panes: []"
    assert heavy == "heavy: []"
