"""Fetching Hugging Face checkpoints by name: from this machine's cache when they are whole there, else the network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from engine.hardware import human_bytes
from engine.models.checkpoints import INDEX
from engine.models.sources import zoo_suggestion
from sessions.errors import CallError, IwbError

TIMEOUT = 5.0  # seconds to wait for the hub's first word
_SMALL = ["*.json", "*.txt", "*.model", "*.jinja"]

T = TypeVar("T")


class Fetched(NamedTuple):
    folder: Path
    revision: str  # the commit on the hub


def fetch(name: str, *, weights: bool = True) -> Fetched:
    """The checkpoint's folder in the cache, with its weights or only its configuration and tokenizer.

    CallError when the hub does not know the name, hides it, or has no safetensors weights; IwbError without network or
    without disk space for it.
    """
    from huggingface_hub import snapshot_download

    if (cached := _cached(name, weights)) is not None:
        return cached
    info = _published(name)
    sizes = {str(file.rfilename): int(file.size or 0) for file in info.siblings or ()}
    files = {file: size for file, size in sizes.items() if file.endswith(".safetensors") and "/" not in file}
    if weights and not files:
        raise CallError(
            "the checkpoint has no safetensors weights, and a pickle is never loaded",
            name,
            "choose a converted revision",
        )
    if weights:
        _refuse_full_disk(name, sum(files.values()))
    patterns = [*_SMALL, "*.safetensors"] if weights else _SMALL
    folder = _asking(
        name,
        lambda: snapshot_download(
            name, revision=info.sha, allow_patterns=patterns, ignore_patterns=["*/*"], etag_timeout=TIMEOUT
        ),
    )
    return Fetched(Path(folder), str(info.sha))


def published_parameters(name: str) -> int:
    """How many weights the hub says the checkpoint has; 0 when it does not say. Errors as `fetch`."""
    published = _published(name).safetensors
    return int(published.total) if published is not None else 0


def _cached(name: str, weights: bool) -> Fetched | None:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except Exception:  # not cached, or cached in part: the library has a different error for each case and version
        return None
    whole = (folder / "config.json").is_file() and (not weights or _has_weights(folder))
    return Fetched(folder, folder.name) if whole else None


def _has_weights(folder: Path) -> bool:
    if (folder / INDEX).is_file():
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=dict[str, Any])
        return all((folder / file).is_file() for file in set(index.get("weight_map", {}).values()))
    return (folder / "model.safetensors").is_file()


def _published(name: str) -> Any:
    from huggingface_hub import HfApi

    return _asking(name, lambda: HfApi().model_info(name, timeout=TIMEOUT, files_metadata=True))


def _asking(name: str, question: Callable[[], T]) -> T:
    """The hub's answer, with its refusals in one sentence."""
    from huggingface_hub import errors

    try:
        return question()
    except errors.GatedRepoError:
        raise CallError(
            "the hub gives this model only to those who accepted its terms", name, "accept them, then: hf auth login"
        ) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError):
        remedy = zoo_suggestion(name) or "check the name (organisation/model)"
        raise CallError(f"Hugging Face has no model '{name}', or it is private", "source", remedy) from None
    except Exception as error:  # transport errors differ with the library's HTTP client
        suggestion = zoo_suggestion(name)
        raise IwbError(
            f"'{name}' is not on this machine, and Hugging Face cannot be reached ({type(error).__name__})",
            "source",
            suggestion or "connect to the network, or give a checkpoint folder",
        ) from None


def _refuse_full_disk(name: str, needed: int) -> None:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise IwbError(
            f"the weights take {human_bytes(needed)} and {human_bytes(free)} are free in {cache}",
            name,
            "free disk space, or set HF_HUB_CACHE to another disk",
        )
