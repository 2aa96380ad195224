"""What `iwb doctor` says of the engine's side: device, memory, versions, and what is missing and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sqlite3
from typing import Any

import psutil

from engine.server.environment import iwb_version
from engine.server.places import runtime_folder

OPTIONAL = {
    "distributed": "spread work over a Dask cluster: pip install 'iwb[dask]'",
    "tracr": "compare with the original RASP compiler: pip install 'iwb[tracr]'",
}


def examination() -> dict[str, Any]:
    """Device, memory, versions and optional parts, as plain values. Importing torch takes a second or two."""
    import torch

    devices = [{"device": "cpu", "name": platform.processor() or platform.machine(), "cores": os.cpu_count()}]
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        devices.append({"device": f"cuda:{index}", "name": found.name, "memory_bytes": found.total_memory})
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU"})
    memory = psutil.virtual_memory()
    packages = ["torch", "transformer-lens", "transformers", "textual", "numpy", "safetensors", "msgspec"]
    return {
        "iwb": iwb_version(),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: _version(name) for name in packages},
        "devices": devices,
        "memory": {"total_bytes": memory.total, "available_bytes": memory.available},
        "threads": torch.get_num_threads(),
        "runtime_folder": str(runtime_folder()),
        "missing": {name: remedy for name, remedy in OPTIONAL.items() if importlib.util.find_spec(name) is None},
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
