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
    elif system and Path(system).is_dir():
        folder = Path(system, "iwb")
    else:
        folder = Path(tempfile.gettempdir(), f"iwb-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()  # not stat: a link of someone else's must not pass for a folder of ours
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise IwbError(
            "the runtime folder belongs to someone else", str(folder), "set IWB_RUNTIME_DIR to one of your own"
        )
    if stat.S_IMODE(status.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def socket_path(session: Path) -> Path:
    """The socket of the engine that holds `session`. Short, because the system allows about 100 bytes."""
    name = hashlib.sha256(os.path.realpath(session).encode()).hexdigest()[:16]
    return runtime_folder() / f"{name}.sock"


def answers(path: Path) -> bool:
    """Whether someone listens on that socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def running() -> list[RunningEngine]:
    """The engines that answer, oldest first. Leftovers of killed ones are swept away."""
    found = []
    for description in runtime_folder().glob("*.json"):
        if answers(description.with_suffix(".sock")):
            try:
                found.append(msgspec.json.decode(description.read_bytes(), type=RunningEngine))
            except (msgspec.MsgspecError, OSError):
                continue
        else:
            description.with_suffix(".sock").unlink(missing_ok=True)
            description.unlink(missing_ok=True)
    return sorted(found, key=lambda engine: engine.started)
