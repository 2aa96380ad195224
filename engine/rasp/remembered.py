"""What compiling one program teaches about the next: tables of functions on value sets, kept while there is room."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """A dictionary that forgets everything when it has grown beyond `cells` (numbers in its entries), and that takes
    no entry larger than a hundredth of that."""

    def __init__(self, cells: int = 2_000_000) -> None:
        self.cells = cells
        self._used = 0
        self._found: dict[Hashable, T] = {}
        self.get = self._found.get

    def keep(self, key: Hashable, value: T, cells: int) -> T:
        if 100 * cells <= self.cells:
            cells += 20  # what an entry costs by itself
            if self._used + cells > self.cells:
                self._found.clear()
                self._used = 0
            self._found[key] = value
            self._used += cells
        return value
