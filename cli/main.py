"""`iwb`: what was asked for, who answers it, and the exit status.

0 done, 1 the work failed or differs, 2 the call was wrong, 130 cancelled. A person's mistake gets one line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.arguments import parse_arguments
from sessions.errors import CallError, CancelledError, IwbError

DONE, FAILED, WRONG_CALL, CANCELLED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give back its exit status."""
    try:
        _mend_streams()
        options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
        status = int(options.answer(options))
        sys.stdout.flush()  # here, where a closed pipe or a full disk still has an answer
        return status
    except CancelledError as stopped:
        print(f"iwb: {stopped}", file=sys.stderr)
        return CANCELLED
    except KeyboardInterrupt:
        print("iwb: cancelled", file=sys.stderr)
        return CANCELLED
    except CallError as error:
        print(f"iwb: {error}", file=sys.stderr)
        return WRONG_CALL
    except IwbError as error:
        print(f"iwb: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `iwb show ... | head`
        _let_go_of_output()
        return DONE
    except OSError as error:  # a full disk, a folder that is gone: of this machine, and no bug
        _let_go_of_output()
        place = (
            f"{error.filename}: " if error.filename else "" if _folder_is_there() else "the working folder is gone: "
        )
        print(f"iwb: {place}{error.strerror or error}", file=sys.stderr)
        return FAILED
    except Exception as error:
        if os.environ.get("IWB_TRACEBACK"):
            raise
        text = f"this is a bug in iwb: {type(error).__name__}: {error}"
        print(f"iwb: {text}; IWB_TRACEBACK=1 shows where", file=sys.stderr)
        return FAILED


def _mend_streams() -> None:
    """A stream that the caller closed swallows what it is given; a character it cannot write is replaced."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
        elif name == "stdout" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _folder_is_there() -> bool:
    try:
        return Path.cwd().is_dir()
    except OSError:
        return False


def _let_go_of_output() -> None:
    """What is still buffered cannot be written; Python would try again at exit, and complain."""
    if sys.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
