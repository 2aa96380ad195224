"""Where a model is: what a source text means, and what is bundled or already on this machine. Loads without torch."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from engine.models.checkpoints import PICKLE_SUFFIXES, STATE_DICTS, is_state_dict, refuse_other_formats
from sessions.errors import CallError, nearest

WEIGHTS, LABELS = "weights.safetensors", "labels.json"  # a compiled model's folder, see docs/compiled_models.md
ZOO = Path(__file__).parent / "zoo"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class Source(NamedTuple):
    """`file`: a .safetensors file with its .json beside it, or a PyTorch state dict of a recurrent network (`path`).
    `folder`: a Hugging Face checkpoint (`path`). `labelled`: a compiled model's folder (`path`). `hub`: a Hugging Face
    name. `text` is the source as it was given."""

    kind: Literal["file", "folder", "labelled", "hub"]
    text: str
    path: Path = Path()


def zoo_sources() -> tuple[str, ...]:
    """The bundled models: `zoo:tpp`, ..., `zoo:rnn/Binary_Addition`, ..."""
    files = sorted(ZOO.glob("*.safetensors")) + sorted(ZOO.glob("rnn/*.safetensors"))
    return tuple(f"zoo:{path.relative_to(ZOO).with_suffix('').as_posix()}" for path in files)


def find_source(text: str) -> Source:
    """What the text names. CallError when it is neither bundled, nor a file or folder here, nor a Hugging Face name."""
    text = text.strip()
    if not text:
        raise CallError("no model was named", "source", "give zoo:tpp, a Hugging Face name, a folder or a .safetensors")
    if text.startswith("session:"):
        raise CallError(
            "the weights of a model made in a session are found through the model itself",
            "source",
            "write model=@ID, or @last, where a model is asked for",
        )
    if text.startswith("zoo:"):
        if text not in zoo_sources():
            raise CallError(f"'{text}' is not bundled", "source", nearest(text, zoo_sources()))
        return Source("file", text, ZOO / f"{text.removeprefix('zoo:')}.safetensors")
    path = Path(text).expanduser()
    if path.is_dir():
        if (path / LABELS).is_file():
            return Source("labelled", text, path)
        if not (path / "config.json").is_file():
            raise CallError(
                f"the folder has neither config.json nor {LABELS}",
                str(path),
                "give a Hugging Face checkpoint folder, or one written by models.save",
            )
        return Source("folder", text, path)
    if path.is_file():
        if not is_state_dict(path):
            refuse_other_formats(path)
        return Source("file", text, path)
    if path.suffix in PICKLE_SUFFIXES or path.suffix in (".safetensors", ".json") or text.startswith((".", "/", "~")):
        raise CallError(f"there is no file or folder '{text}'", "source", _beside(path))
    if not _HUB_NAME.fullmatch(text):
        raise CallError(
            f"'{text}' is neither bundled, nor here, nor a Hugging Face name",
            "source",
            zoo_suggestion(text) or "see: iwb models",
        )
    return Source("hub", text)


def _beside(path: Path) -> str:
    """The nearest model in the folder the person meant."""
    try:
        kinds = (".safetensors", *STATE_DICTS)
        names = [p.name for p in path.parent.iterdir() if p.suffix in kinds or (p / "config.json").is_file()]
    except OSError:
        return "check the path"
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "check the path"


def zoo_suggestion(text: str) -> str:
    """`did you mean 'zoo:tpp'?` when the text is nearly a bundled model's name, else empty."""
    bare = {source.removeprefix("zoo:").removeprefix("rnn/"): source for source in zoo_sources()}
    close = difflib.get_close_matches(text.removeprefix("rnn/"), bare, n=1, cutoff=0.6)
    return f"did you mean '{bare[close[0]]}'?" if close else ""


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object from a file. CallError when the file is missing or holds anything else."""
    try:
        config = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        raise CallError(
            f"the configuration {path.name} is missing", str(path.parent), "put it beside the weights"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise CallError(f"the configuration cannot be read ({error})", str(path)) from None
    if not isinstance(config, dict):
        raise CallError("the configuration is not a JSON object", str(path))
    return config


def hub_cache() -> tuple[str, ...]:
    """Hugging Face names with safetensors weights in this machine's cache."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", str(home / "hub"))).expanduser()
    found = []
    for folder in sorted(cache.glob("models--*")):
        if any(folder.glob("snapshots/*/config.json")) and any(folder.glob("snapshots/*/*.safetensors")):
            found.append(folder.name.removeprefix("models--").replace("--", "/"))
    return tuple(found)
