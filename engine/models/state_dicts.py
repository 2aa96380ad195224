"""The tensors of a network of the user's, by name: from a safetensors file or from a PyTorch state dict.

A .pt or .pth file is a pickle. It is read with torch's restricted unpickler, which knows tensors and plain containers
and runs nothing (since torch 2.6, which this project asks for); whatever else is in the file is refused.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.hardware import free_memory, human_bytes
from engine.models.checkpoints import is_state_dict, refuse_other_formats
from sessions.errors import CallError

if TYPE_CHECKING:
    from torch import Tensor

SAVE = "save its state dict: torch.save(net.state_dict(), 'net.pt')"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor, in the file's order, on the CPU and in its own number format.

    CallError when there is no such file, it is damaged or of another format, holds code, or holds no tensors.
    """
    if is_state_dict(path):
        return _state_dict(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    refuse_other_formats(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except SafetensorError as error:
        raise CallError(
            f"the safetensors file is damaged ({error})", str(path), "fetch or save it again and compare its size"
        ) from None


def _state_dict(path: Path) -> dict[str, Tensor]:
    import torch

    size, free = path.stat().st_size, free_memory("cpu")
    if size > free / 2:
        raise CallError(
            f"the file holds {human_bytes(size)}, and {human_bytes(free)} of memory are free",
            str(path),
            "a recurrent network that can be turned into a program is far smaller",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old protocols and TorchScript: what cannot be read is told below
            document = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CallError(
            "it holds Python objects besides tensors, and loading such a pickle can run foreign code: it was not "
            "loaded",
            str(path),
            SAVE,
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # torch's reader fails in many ways on a damaged archive: IndexError, RuntimeError...
        script = "TorchScript" in str(error)
        what = "this is a TorchScript archive, which holds code" if script else "the PyTorch file is damaged"
        reason = "" if script else f" ({(str(error).splitlines() or [''])[0][:120]})"
        raise CallError(what + reason, str(path), SAVE) from None
    return _only_tensors(document, path)


def _only_tensors(document: Any, path: Path) -> dict[str, Tensor]:
    """The state dict itself, or the only one in a dictionary that holds it beside other things, as trainers write."""
    if _is_state_dict(document):
        return {name: value.detach() for name, value in document.items()}
    inside = [name for name, value in document.items() if _is_state_dict(value)] if isinstance(document, dict) else []
    if len(inside) == 1:
        return _only_tensors(document[inside[0]], path)
    found = type(document).__name__
    if isinstance(document, dict):
        found = f"dictionary with {', '.join(map(repr, list(document)[:6])) or 'nothing in it'}"
    several = f"{len(inside)} state dicts ({', '.join(map(repr, inside))})" if inside else "no state dict"
    raise CallError(f"there is {several} in it, but a {found}", str(path), SAVE)


def _is_state_dict(value: Any) -> bool:
    import torch

    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and isinstance(one, torch.Tensor) for name, one in value.items())
    )
