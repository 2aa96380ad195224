"""Where running engines are found: a private folder with, per session file, a socket and a small description."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from pathlib import Path

import msgspec

from sessions.errors import IwbError

LONGEST_ADDRESS = 103  # bytes; macOS allows 104 with the closing zero, Linux a little more


class RunningEngine(msgspec.Struct, frozen=True, kw_only=True):
    """One engine process that answers: which file it holds, since when."""

    file: str
    pid: int
    started: float


def runtime_folder() -> Path:
    """The folder for sockets, made on first use, readable by this user alone. IwbError when someone else owns it."""
    system = os.environ.get("XDG_RUNTIME_DIR")  # made by the login session where there is one; not in a container
    chosen = os.environ.get("IWB_RUNTIME_DIR")
    if chosen:
        folder = Path(chosen)
    elif system and _ours(Path(system)):  # `su` leaves another user's behind
        folder = Path(system, "iwb")
    else:
        folder = Path(tempfile.gettempdir(), f"iwb-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise IwbError(
            f"the runtime folder cannot be made ({error.strerror})", str(folder), "set IWB_RUNTIME_DIR to another"
        ) from None
    status = folder.lstat()  # not stat: a link of someone else's must not pass for a folder of ours
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise IwbError(
            "the runtime folder belongs to someone else", str(folder), "set IWB_RUNTIME_DIR to one of your own"
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def _ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def socket_path(session: Path) -> Path:
    """The socket of the engine that holds `session`. IwbError when the runtime folder's name leaves it no room."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(session))).hexdigest()[:16]
    address = runtime_folder() / f"{name}.sock"
    if len(os.fsencode(address)) > LONGEST_ADDRESS:
        raise IwbError(
            f"a socket's name is {LONGEST_ADDRESS} bytes at most", str(address), "set IWB_RUNTIME_DIR to a shorter path"
        )
    return address


def answers(path: Path) -> bool:
    """Whether someone listens on that socket."""
    return _answer(path) is None


def _answer(path: Path) -> OSError | None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error
    return None


def running() -> list[RunningEngine]:
    """The engines that answer, oldest first. Leftovers of killed ones are swept away."""
    found = []
    for description in runtime_folder().glob("*.json"):
        refusal = _answer(description.with_suffix(".sock"))
        if refusal is None:
            try:
                found.append(msgspec.json.decode(description.read_bytes(), type=RunningEngine))
            except (msgspec.MsgspecError, OSError):
                continue
        elif isinstance(refusal, ConnectionRefusedError | FileNotFoundError):  # anything else: it is only busy
            description.with_suffix(".sock").unlink(missing_ok=True)
            description.unlink(missing_ok=True)
    return sorted(found, key=lambda engine: engine.started)
