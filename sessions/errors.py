"""The one error a person sees: what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec


class IwbError(Exception):
    """A mistake or a limit that a person can understand and act on.

    `what` says what is wrong with the values in it, `where` names the place (a parameter, a file, a line), and
    `remedy` says what would be right. `str()` is one line. Anything else that escapes an operation is a bug of ours.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{remedy}"


class CallError(IwbError):
    """The request itself was wrong (unknown name, wrong type, out of range, missing file): exit status 2."""


class LockedError(CallError):
    """Another iwb writes that session now."""


class CancelledError(IwbError):
    """Someone asked for the running step to stop. What it finished is kept."""


class ErrorRecord(msgspec.Struct, frozen=True):
    """An error as plain data: what crosses the process boundary and what a failed step keeps."""

    what: str
    where: str = ""
    remedy: str = ""
    call: bool = False  # the call was wrong, rather than the work
    traceback: str = ""  # only for bugs; never printed on a terminal, kept in the file

    @classmethod
    def of(cls, error: IwbError) -> ErrorRecord:
        return cls(error.what, error.where, error.remedy, isinstance(error, CallError))

    def error(self) -> IwbError:
        return (CallError if self.call else IwbError)(self.what, self.where, self.remedy)

    def __str__(self) -> str:
        return str(self.error())


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` when a known name is close, else the known names, for the remedy of an unknown one."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return "known: " + ", ".join(names) if names else ""
