"""Take the pictures in this folder: the bundled investigation, circuits of edges and RASP, run for real.

    python -P docs/screens/take.py [--rasp] [--edges] [FOLDER]

With --rasp the RASP pictures alone, with --edges those of circuits of edges: they take seconds, the others minutes.

It needs CairoSVG (`pip install cairosvg`) and the font DejaVu Sans Mono; neither is needed by iwb itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the tests, which know how to read the screen, are not installed

SIZES = ((160, 50), (80, 24))
TRIES, TRY_S = 200, 0.05


def session(path: Path, recipe: Path) -> None:
    """Run a recipe into `path`."""
    from cli.host import Here
    from cli.perform import perform
    from sessions.file import SessionFile
    from sessions.recipes import read

    with SessionFile.open(path, create=True) as opened:
        here = Here(opened, quiet=True)
        for _ in perform(read(recipe), here):
            pass


async def settled(pilot: Any) -> None:
    """Wait until nothing changes on the screen any more: the engine is a process of its own."""
    from tests.tui.snapshots.painted import painted

    app, before, same = pilot.app, None, 0
    for _ in range(TRIES):
        await pilot.pause(TRY_S)
        now = painted(app)
        quiet = app.investigation.client is not None and not app.investigation.store.running()
        same = same + 1 if now == before and quiet else 0
        if same == 6:
            return
        before = now
    raise SystemExit("the screen does not come to rest")


def number_of(app: Any, operation: str) -> int:
    """The first result of the step that did an operation."""
    store = app.investigation.store
    step = next(step for step in store.steps if step.operation == operation)
    return int(store.of_step(step.id)[0].id)


async def first_result(app: Any, operation: str) -> Any:
    return await app.investigation.fetch(number_of(app, operation))


@contextlib.asynccontextmanager
async def opened(path: Path, folder: Path, width: int, height: int) -> AsyncIterator[tuple[Any, Any, Any]]:
    """The app on a session, its pilot, and `picture(name, *keys, **selected)`: press, select, and take one."""
    from tests.tui.snapshots.painted import as_svg, painted
    from tui.app import IwbApp
    from tui.keymap import Config

    app = IwbApp(path, config=Config({}))
    app.colour_depth, app.animation_level = "truecolor", "none"
    async with app.run_test(size=(width, height)) as pilot:

        async def picture(name: str, *keys: str, **selected: Any) -> None:
            for key in keys:
                await pilot.press(key)
            if selected:
                app.investigation.selection.change(**selected)
            await settled(pilot)
            svg = as_svg(painted(app))
            write(svg, folder / f"{name}-{width}x{height}.png")

        await settled(pilot)
        yield app, pilot, picture
        await app.investigation.engine.shutdown()


async def take(path: Path, folder: Path, width: int, height: int) -> None:
    """The bundled investigation."""
    async with opened(path, folder, width, height) as (app, pilot, picture):
        store, selection = app.investigation.store, app.investigation.selection
        transformer, network = (stored.id for stored in store.of_kind("model")[:2])
        heads = await first_result(app, "circuits.head_sweep")
        patterns = await first_result(app, "circuits.attention_patterns")
        most = np.unravel_index(np.argmax(np.abs(heads.values)), heads.values.shape)
        layer, head = (int(at) for at in most)  # the head that is missed most, and where its last query looks
        key = int(np.argmax(patterns.values[0, layer, head, -1]))
        selection.change(model=transformer, row=0, layer=layer, head=head)
        await picture("model", "1")
        await picture("data", "2")
        selection.show("sweep", number_of(app, "circuits.head_sweep"))
        await picture("sweep", "3")
        await picture("attention", "4", query=patterns.values.shape[-2] - 1, key=key)
        await picture("attention-grid", "t")
        await pilot.press("t")
        await picture("circuit", "5")
        selection.change(model=network)
        await picture("program", "6")
        selection.change(model=transformer)
        await picture("history", "7", step=store.stored(number_of(app, "circuits.greedy_sweep")).step)


async def take_rasp(path: Path, folder: Path, width: int, height: int) -> None:
    """A program on its way to weights and back."""
    async with opened(path, folder, width, height) as (app, pilot, picture):
        store, selection = app.investigation.store, app.investigation.selection
        compiled = next(stored.id for stored in store.of_kind("program"))
        selection.show("program", number_of(app, "rasp.decompile"))
        await picture("decompiled", "6", layer=1, head=0)
        selection.show("program", compiled)
        await picture("compiled", "j", "j")
        await pilot.press("e")
        await settled(pilot)
        pane = app.pane
        pane.query_one("#rasp-inputs").value = "[3,1,4,1,2]"
        await picture("rasp", "e", "down", "down")
        end = pane.editor.document.end
        pane.editor.insert("back = selct(sort, indices, ==)", end)
        await picture("rasp-mistake")
        await pilot.press("ctrl+z", "escape", "v", "v")
        await picture("rasp-matrices", "j", "j", "l")
        table = next(s for s in store.artifacts if store.step(s.step).operation == "rasp.sample")
        await app.show_artifact(table)
        await picture("sampled", "j", "j", "j")
        await pilot.press("escape")


async def take_edges(path: Path, folder: Path, width: int, height: int) -> None:
    """Circuits of edges: one with its curve, two compared, and how they do on the model, a cell opened."""
    async with opened(path, folder, width, height) as (app, pilot, picture):
        selection = app.investigation.selection
        selection.change(model=number_of(app, "models.load"), prompts=number_of(app, "prompts.make"))
        selection.show("circuit", number_of(app, "circuits.acdc"))
        await picture("edges", "5", layer=1, head=0)
        if width < 120:
            await picture("edges-curve", "c")
            await pilot.press("c")
        for artifact in app.investigation.store.of_kind("graph"):
            if app.investigation.store.step(artifact.step).operation == "circuits.compare":
                selection.show("circuit", artifact.id)
        await picture("compared")
        selection.show("sweep", number_of(app, "circuits.transfer"))
        await picture("transfer", "3", "j")
        await pilot.press("enter")
        await picture("transfer-cell")
        await pilot.press("escape")


def write(svg: str, place: Path) -> None:
    from cairosvg import svg2png
    from PIL import Image  # CairoSVG brings it

    picture = Image.open(io.BytesIO(svg2png(bytestring=svg.encode()))).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # keeps rare colours
    few.save(place, optimize=True)
    print(f"{place}  {place.stat().st_size // 1000} kB")


def main() -> int:
    try:
        import cairosvg  # noqa: F401
    except ImportError:
        print("take.py needs CairoSVG to write PNG files: pip install cairosvg", file=sys.stderr)
        return 2
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    some = {word.removeprefix("--") for word in sys.argv[1:] if word.startswith("--")} or {"rasp", "edges", "demo"}
    folder = Path(words[0]) if words else Path(__file__).parent
    with tempfile.TemporaryDirectory(prefix="iwb-screens-") as place:
        os.environ["XDG_CONFIG_HOME"] = place  # the keys and theme that iwb comes with
        for name in ("NO_COLOR", "IWB_COLOUR"):
            os.environ.pop(name, None)
        here = Path(__file__)
        for name, title, recipe, taking in (
            ("rasp", "sort", here.with_name("rasp.toml"), take_rasp),
            ("edges", "ioi", here.with_name("edges.toml"), take_edges),
            ("demo", "names", ROOT / "cli" / "demo.toml", take),
        ):
            if name not in some:
                continue
            made = Path(place, f"{name}.iwb")
            session(made, recipe)
            for width, height in SIZES:
                copy = Path(place, str(width), f"{title}.iwb")  # each size writes a draft of its own, and opens a cell
                copy.parent.mkdir(exist_ok=True)
                shutil.copy(made, copy)
                asyncio.run(taking(copy, folder, width, height))
    return 0


if __name__ == "__main__":
    sys.exit(main())
