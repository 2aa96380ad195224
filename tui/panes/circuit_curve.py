"""The metric as parts go, beside the circuit they leave: of the step that found it, or of the one that runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sessions.artifacts import Series
from sessions.errors import IwbError

if TYPE_CHECKING:
    from tui.panes.base import Pane

WIDE = 104  # columns of the view from which the curve stands beside the graph
HIGH = 34  # lines from which it stands below it
WIDTH, HEIGHT = 48, 14  # of the plot beside, and below


def curve_of(pane: Pane) -> Series | None:
    """The curve of the shown step; one that is not in memory yet is fetched, and the pane draws again."""
    step = pane.shown.step if pane.shown is not None else None
    if step is None:
        return None
    if pane.shown is not None and pane.shown.live:
        return next((part for part in pane.store.partials_of(step.id) if isinstance(part, Series)), None)
    stored = next((stored for stored in pane.store.of_step(step.id) if stored.kind == "series"), None)
    if stored is None:
        return None
    found = pane.store.loaded(stored.id)
    if found is None:
        pane.app.behind(partial(_fetch, pane, stored.id), group=f"curve.{pane.VIEW}", exclusive=True)
    return found if isinstance(found, Series) else None


async def _fetch(pane: Pane, artifact: int) -> None:
    try:
        await pane.investigation.fetch(artifact)
    except IwbError as error:
        pane.app.trouble(str(error))
