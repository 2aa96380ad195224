"""The base of everything that lies over the views: its own scope of keys, its hints, and a way out."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.actions import Scope
from tui.chrome import Hints

if TYPE_CHECKING:
    from tui.app import IwbApp

T = TypeVar("T")


class Overlay(ModalScreen[T], inherit_bindings=False):
    """A box over the views. Keys are looked up in `SCOPE`, then "overlay", then "moving"; `do_VERB` methods do them."""

    SCOPE: ClassVar[Scope]
    HEADING: ClassVar[str] = ""

    DEFAULT_CSS = """
    Overlay { align: center middle; background: $background 60%; }
    Overlay > #box {
        width: 90%; max-width: 100; height: auto; max-height: 90%;
        border: heavy $accent; border-title-color: $accent; border-title-style: bold;
        background: $panel; padding: 0 1;
    }
    Overlay > #box > Hints { background: $panel; dock: bottom; }
    """

    def compose_box(self) -> ComposeResult:
        yield from ()

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = self.HEADING
            yield from self.compose_box()
            yield Hints()

    takes_keys = False  # until what is to have the focus has it; keys wait for that

    @property
    def bench(self) -> IwbApp:
        return cast("IwbApp", self.app)

    def refresh_hints(self) -> None:
        for hints in self.query(Hints):
            hints.refresh()

    def on_descendant_focus(self) -> None:
        self.refresh_hints()

    def on_mount(self) -> Awaitable[None] | None:
        self.app.call_later(self._opened)  # behind the focus that the overlay's own on_mount asked for
        return None

    async def _opened(self) -> None:
        self.takes_keys = True
        await self.bench.keys_go_on()

    def on_unmount(self) -> None:
        self.bench.call_later(self.bench.keys_go_on)
        self.bench.refresh_lines("hints")  # the views' own, silent while something lay over them

    def do_close(self) -> None:
        """`esc`: out of a field first where the overlay has others, else close."""
        others = [w for w in self.focus_chain if not isinstance(w, Input)]
        if isinstance(self.focused, Input) and others and self.leaves_fields():
            others[0].focus()
        else:
            self.dismiss(None)

    def leaves_fields(self) -> bool:
        """Whether `esc` in a field leaves the field rather than the overlay."""
        return False
