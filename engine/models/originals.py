"""A Hugging Face checkpoint in its own implementation: the model and tokenizer of the `transformers` library.

Nothing here looks at the network, runs code that came with a checkpoint, or reads a pickle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from engine.hardware import is_out_of_memory
from engine.models.tokenizers import CheckpointTokenizer
from sessions.errors import CallError

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "*.tiktoken")


@contextmanager
def quietly_offline() -> Iterator[None]:
    """No network, no progress bars, no warnings: whatever the folder's files ask for."""
    from huggingface_hub import constants

    before, level = constants.HF_HUB_OFFLINE, transformers_logging.get_verbosity()
    constants.HF_HUB_OFFLINE = True
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        transformers_logging.set_verbosity(level)


def original_model(folder: Path, where: str, dtype: torch.dtype) -> PreTrainedModel:
    """The checkpoint in its own implementation. CallError when tensors are missing or have another shape."""
    with quietly_offline():
        try:
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # so that the report names them all
                output_loading_info=True,
            )
        except Exception as error:  # a foreign configuration can fail in as many ways as there are families
            if is_out_of_memory(error):
                raise
            raise CallError(f"the checkpoint cannot be read ({reason(error)})", where) from None
    missing = sorted(str(name) for name in report.get("missing_keys", ()))
    other = [
        f"{name} is {list(found)}, expected {list(wanted)}"
        for name, found, wanted in sorted(map(tuple, report.get("mismatched_keys", ())))
    ]
    unexpected = sorted(str(name) for name in report.get("unexpected_keys", ()))
    if missing or other:
        parts = (("missing", missing), ("other shape", other), ("unexpected", unexpected))
        told = "; ".join(f"{title}: {', '.join(names[:6])}" for title, names in parts if names)
        raise CallError(
            f"the weights do not fit the configuration ({told})",
            where,
            "give the config.json these weights were trained with",
        )
    return model.eval()


def original_tokenizer(folder: Path, where: str, size: int) -> CheckpointTokenizer:
    """The checkpoint's tokenizer, for a model with `size` embeddings. CallError when there is none or it is damaged."""
    if not any(next(folder.glob(name), None) for name in _TOKENIZER_FILES):  # the library would make an empty one
        raise CallError("the checkpoint has no tokenizer", where, "add its tokenizer.json")
    with quietly_offline():
        try:
            inner = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # each tokenizer family fails in its own way when its files are missing
            raise CallError(f"its tokenizer cannot be read ({reason(error)})", where, "add tokenizer.json") from None
    return CheckpointTokenizer(inner, name=where.rstrip("/").rpartition("/")[2] or where, size=size)


def reason(error: Exception) -> str:
    """The first line of what another library says, cut to a length that fits into a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
