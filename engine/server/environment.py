"""What a step's numbers can depend on besides its parameters, read off this process."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys
from typing import Any

import psutil

from sessions.artifacts import Model
from sessions.steps import Environment


def iwb_version() -> str:
    try:
        return importlib.metadata.version("iwb")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _torch() -> Any:
    """Torch, if this process has it whole. While another thread is importing it, parts of it are still missing."""
    torch = sys.modules.get("torch")
    return None if torch is None or getattr(torch.__spec__, "_initializing", False) else torch


def environment(model: Model | None = None) -> Environment:
    """The environment of this process now, with the device and dtype of the step's model if it had one."""
    torch = _torch()
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in kilobytes elsewhere
    return Environment(
        iwb=iwb_version(),
        python=platform.python_version(),
        torch=str(torch.__version__) if torch else "",
        platform=platform.platform(terse=True),
        device=model.device if model else "cpu",
        dtype=model.dtype if model else "",
        threads=torch.get_num_threads() if torch else 1,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
    )


def memory() -> tuple[int, int]:
    """(bytes this process holds, bytes still free), of the GPU when one is in use, else of the machine."""
    torch = _torch()
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        free, _ = torch.cuda.mem_get_info()
        return int(torch.cuda.memory_allocated()), int(free)
    return psutil.Process().memory_info().rss, psutil.virtual_memory().available
