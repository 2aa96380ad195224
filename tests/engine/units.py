"""Units of work for other processes: they have to be importable there."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def square(x: int) -> int:
    return x * x


def surroundings() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "safe": sys.flags.safe_path or os.environ.get("PYTHONSAFEPATH"),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "torch": "torch" in sys.modules,
    }


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def die() -> None:
    os._exit(3)


def fail() -> None:
    raise ValueError("as told")
