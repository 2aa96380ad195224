"""Points in the plane on the screen, with a cursor that reads them."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from sessions.artifacts import Points
from tui.widgets.inks import Piece
from tui.widgets.lattice import Lattice, lattice_of
from tui.widgets.line_widget import LineWidget
from tui.widgets.points_picture import PointsPicture


class Scatter(LineWidget):
    """Draws a points artifact; `h l` step from point to point."""

    class PointMoved(Message):
        """Another point is under the cursor."""

        def __init__(self, scatter: Scatter, point: int) -> None:
            super().__init__()
            self.scatter, self.point = scatter, point

        @property
        def control(self) -> Scatter:
            return self.scatter

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None, disabled: bool = False
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.picture = PointsPicture()

    def show(self, points: Points, lattice: Lattice | None = None) -> None:
        """Draw these points, and a lattice over them: this one, else the one that their facts tell of."""
        self.picture.take(points, lattice if lattice is not None else lattice_of(points))
        self._restyle_and_refresh()

    def toggle_lattice(self) -> bool:
        """Draw the lattice or leave it out; whether it is drawn now."""
        self.picture.shows_lattice = not self.picture.shows_lattice
        self._restyle_and_refresh()
        return self.picture.shows_lattice

    def follow(
        self, path: Sequence[tuple[float, ...]], here: tuple[float, ...] | None, words: str, group: int | None
    ) -> None:
        """Mark the place `here` of a path, and one group of points; what does not change is not painted."""
        picture = self.picture
        moved = tuple(path) != picture.path
        picture.path, picture.here, picture.here_words, picture.group = tuple(path), here, words, group
        picture.shows_cursor = here is None or self.has_focus
        if moved:
            self._restyle_and_refresh()
        else:
            self.repaint_changes()

    def on_focus(self) -> None:
        self._focus_changed(True)

    def on_blur(self) -> None:
        self._focus_changed(False)

    def _focus_changed(self, has: bool) -> None:
        if self.picture.here is not None:
            self.picture.shows_cursor = has
            self.repaint_changes()

    def turn(self) -> None:
        """The next pair of axes, for points in space."""
        dimensions = int(self.picture.points.xy.shape[1])
        pairs = [(a, b) for a in range(dimensions) for b in range(a + 1, dimensions)] or [(0, 1)]
        at = pairs.index(self.picture.axes) if self.picture.axes in pairs else -1
        self.picture.axes = pairs[(at + 1) % len(pairs)]
        self._restyle_and_refresh()

    def restyle(self) -> None:
        self.picture.inks, self.picture.size = self.inks(), (self.size.width, self.size.height)
        self.picture.prepare()

    def pieces(self, y: int) -> list[Piece]:
        return self.picture.line(y)

    def moved(self, where: str) -> None:
        count = len(self.picture.points.xy)
        steps = {"left": -1, "right": 1, "up": -1, "down": 1, "first": -count, "last": count}
        if where in steps:
            before = self.picture.cursor
            self.picture.step(steps[where])
            if self.picture.cursor != before:
                self.repaint_changes()
                self.post_message(self.PointMoved(self, self.picture.cursor))
