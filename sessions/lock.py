"""One writer per session file: a lock beside it that the kernel gives back when the writer dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from pathlib import Path
from types import TracebackType

from sessions.errors import CallError, IwbError, LockedError


class WriterLock:
    """Holds `.NAME.iwb.lock` for as long as it lives. fcntl locks also work over NFS, where flock does not."""

    def __init__(self, session: Path) -> None:
        self.path = session.with_name(f".{session.name}.lock")
        self._take(session)
        while not self._still_named():  # its last holder took the file away between our opening and locking it
            os.close(self._fd)
            self._take(session)
        with contextlib.suppress(OSError):  # who holds it is a courtesy; a full disk must not keep us from reading
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)

    def _still_named(self) -> bool:
        try:
            return self.path.stat().st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return False

    def _take(self, session: Path) -> None:
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CallError(
                f"cannot write beside the session file ({error.strerror})",
                str(session),
                "choose a folder you may write in",
            ) from None
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = self._holder()
            os.close(self._fd)
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise IwbError(f"the file system refuses locks ({error.strerror})", str(session)) from None
            raise LockedError(
                f"the session is being written by another iwb ({holder})",
                str(session),
                "close it there, or use another file",
            ) from None

    def _holder(self) -> str:
        try:
            found = json.loads(os.pread(self._fd, 4096, 0))
            return f"process {found['pid']} on {found['host']}"
        except (ValueError, KeyError, TypeError, OSError):
            return "unknown process"

    def release(self) -> None:
        if self._fd >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> WriterLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def writer_lives(session: Path) -> bool:
    """Whether somebody may still be writing that file, for readers, who must not take the lock to find out.

    False only when it is certain: no lock file, or one whose holder was a process of this machine that is gone.
    """
    try:
        found = json.loads(session.with_name(f".{session.name}.lock").read_bytes())
        if found["host"] != socket.gethostname():
            return True
        os.kill(int(found["pid"]), 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return True
