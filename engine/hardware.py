"""What the machine offers: devices, number formats, free memory, and batches that fit into it.

Loads without torch; torch is asked only by the functions that need a device.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import psutil

from sessions.errors import CallError, IwbError, nearest

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["float32", "bfloat16", "float16"]
BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}

T = TypeVar("T")


def choose_device(wanted: str = "auto") -> str:
    """The device to compute on: the one asked for, or with `auto` cuda, else mps, else cpu.

    CallError when it is unknown or this machine has none.
    """
    import torch

    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, there in here.items() if there)
    kind, _, index = wanted.partition(":")
    if kind not in here or (index and not index.isdigit()):
        raise CallError(f"unknown device '{wanted}'", "device", nearest(kind, ["auto", *here]))
    if not here[kind] or (kind == "cuda" and index and int(index) >= torch.cuda.device_count()):
        there = ", ".join(name for name, available in here.items() if available)
        raise CallError(f"device '{wanted}' is not available on this machine", "device", f"available: {there}")
    return wanted


def torch_dtype(name: str) -> torch.dtype:
    """The number format by its name. CallError for an unknown one."""
    import torch

    if name not in BYTES:
        raise CallError(f"unknown number format '{name}'", "dtype", nearest(name, BYTES))
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def free_memory(device: str = "cpu") -> int:
    """Bytes that a new allocation on the device can count on. On the CPU, a container's limit counts."""
    if device.startswith("cuda"):
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        # Blocks that torch holds but does not use serve new tensors as well.
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.startswith("mps"):
        import torch

        return max(0, torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    available = int(psutil.virtual_memory().available)
    left = _container_memory()
    return available if left is None else min(available, left)


def _container_memory(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes left under this control group's limit (version 2, else 1); None without a limit. Page cache that the
    kernel would give back does not count as used."""
    for limit_name, used_name, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            limit, used = (root / limit_name).read_text().strip(), int((root / used_name).read_text())
            stat = (root / used_name).with_name("memory.stat").read_text()
        except (OSError, ValueError):
            continue
        if not limit.isdigit():  # "max"
            return None
        found = re.search(rf"^{cache_name} (\d+)$", stat, re.MULTILINE)
        return max(0, int(limit) - used + (int(found.group(1)) if found else 0))
    return None


SMALL = 3_000_000  # parameters


def share_cores(parameters: int) -> None:
    """Set how many threads compute on the CPU: one for a small model, whose products are over before a second thread
    has begun, and which on a busy machine waits a hundred times as long for that thread as the work takes; else as many
    as torch thinks right."""
    import torch

    global _threads
    _threads = _threads or torch.get_num_threads()
    wanted = 1 if parameters < SMALL else _threads
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)


_threads = 0  # what torch began with


def human_bytes(n: float) -> str:
    """`1.5 GiB`: binary units, two or three figures."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(n) < 1024:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB"


def rows_that_fit(bytes_per_row: int, device: str = "cpu", *, share: float = 0.5, most: int = 4096) -> int:
    """How many rows to run at once when each needs that many bytes: at least 1, at most `most`, in `share` of what
    is free."""
    return max(1, min(most, int(share * free_memory(device)) // max(1, bytes_per_row)))


class TooLargeError(IwbError):
    """Not even one row of a batch fits into memory."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (CUDA, MPS, CPU) or Python ran out of memory, or `halving` came to its end."""
    if isinstance(error, MemoryError | TooLargeError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    if type(error).__name__ == "OutOfMemoryError":  # torch.cuda's and torch's own, without loading torch
        return True
    text = str(error)
    return "DefaultCPUAllocator" in text or "backend out of memory" in text or "out of memory" in text.lower()


def halving(
    run: Callable[[int, int], T], rows: int, chunk: int, *, device: str = "cpu", bytes_per_row: int = 0
) -> Iterator[T]:
    """`run(start, stop)` over all rows in chunks, in order, halving the chunk whenever memory runs out.

    A smaller chunk stays for the rows that follow. IwbError, with what was needed and what is free, when a single row
    does not fit. `bytes_per_row` is the caller's estimate, told when the allocator does not say a size.
    """
    start, chunk = 0, max(1, chunk)
    while start < rows:
        stop = min(rows, start + chunk)
        failure: str | None = None
        try:
            result = run(start, stop)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = str(error)
        if failure is None:
            yield result
            del result  # the next chunk may need its memory
            start = stop
            continue
        # Outside the except clause: its traceback kept the tensors of the failed attempt alive.
        _release(device)
        if stop - start == 1:
            asked = _asked_for(failure) or bytes_per_row
            needed = f"needs {human_bytes(asked)} more" if asked else "needs more"
            raise TooLargeError(
                f"one row {needed} than the {human_bytes(free_memory(device))} free on {device}",
                remedy="use shorter prompts, a smaller dtype, a smaller model, or another device",
            )
        chunk = max(1, (stop - start) // 2)


def _release(device: str) -> None:
    gc.collect()
    if device.startswith(("cuda", "mps")):
        import torch

        (torch.cuda if device.startswith("cuda") else torch.mps).empty_cache()


def _asked_for(message: str) -> int:
    """The size in an allocator's complaint: `Tried to allocate 2.00 GiB`, `you tried to allocate 4096 bytes`."""
    found = re.search(r"tried to allocate ([\d.]+) ?(bytes|[KMGT]i?B)", message, re.IGNORECASE)
    if not found:
        return 0
    powers = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
    return int(float(found.group(1)) * 1024 ** powers[found.group(2)[0].lower()])
