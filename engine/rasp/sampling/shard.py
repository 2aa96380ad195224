"""One shard of a dataset: so many draws from a seed of its own, the programs compiled and flattened, as safetensors.

A shard depends on the dataset's settings and its own number alone, so any worker may make it. Weights are stored as
their places and values where they are not zero (a compiled model has a few hundred of thousands).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float32
from safetensors.numpy import load, save

from engine.rasp.printing import to_text
from engine.rasp.sampling.flatten import MOST_TOKENS, MOST_WEIGHTS, Sizes, flatten
from engine.rasp.sampling.sampler import Sampled, Sampler
from engine.rasp.sampling.tokens import VOCABULARY
from engine.rasp.sampling.trials import Settings
from sessions.errors import CallError

FORMAT = "iwb-rasp-dataset-1"
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
_own = threading.local()

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the content of a dataset depends on, but for how many datapoints it has."""

    seed: int = 0
    shard_size: int = 1_000  # draws; those that repeat or are too large are left out
    shortest: int = 4  # tokens and indices counted; every length is drawn equally often
    longest: int = 9
    vocab_size: int = 5
    max_len: int = 5
    most_weights: int = MOST_WEIGHTS
    most_tokens: int = MOST_TOKENS
    held_out: float = 0.03  # the share of programs for validation, and again for the test


class Made(NamedTuple):
    """A shard as bytes, and what making it took. Plain values: it crosses process boundaries."""

    number: int
    data: bytes
    cpu_seconds: float


class Shard(NamedTuple):
    """A shard that was read back: arrays by name, and the numbers in its metadata."""

    arrays: Arrays
    number: int
    dropped: dict[str, int]  # draws left out: "repeated" in the shard, more than `most_weights`, `most_tokens`

    def __len__(self) -> int:
        return len(self.arrays["length"])

    def weights(self, i: int) -> Float32[np.ndarray, " weights"]:
        a = self.arrays
        found = np.zeros(self.sizes(i).weights, dtype=np.float32)
        part = slice(a["weight_offsets"][i], a["weight_offsets"][i + 1])
        found[a["weight_places"][part]] = a["weight_values"][part]
        return found

    def tokens(self, i: int) -> tuple[int, ...]:
        a = self.arrays
        return tuple(a["tokens"][a["token_offsets"][i] : a["token_offsets"][i + 1]].tolist())

    def text(self, i: int) -> str:
        a = self.arrays
        return a["text"][a["text_offsets"][i] : a["text_offsets"][i + 1]].tobytes().decode()

    def sizes(self, i: int) -> Sizes:
        return Sizes(*self.arrays["sizes"][i].tolist())


def make(plan: Plan, number: int) -> Made:
    """The shard of that number. The same bytes wherever and whenever it is made."""
    started = time.process_time()
    rng = np.random.default_rng(np.random.SeedSequence(plan.seed, spawn_key=(number,)))
    sampler = _sampler(rng, Settings(plan.vocab_size, plan.max_len))
    dropped = {"repeated": 0, "weights": 0, "tokens": 0}
    found: dict[tuple[int, ...], tuple[Sampled, Sizes, np.ndarray[Any, np.dtype[np.float32]]]] = {}
    for _ in range(plan.shard_size):
        one = sampler.program(int(rng.integers(plan.shortest, plan.longest + 1)))
        assert one.compiled is not None
        sizes = Sizes.of(one.compiled)
        if one.tokens in found:
            dropped["repeated"] += 1
        elif sizes.weights > plan.most_weights:
            dropped["weights"] += 1
        elif len(one.tokens) > plan.most_tokens:
            dropped["tokens"] += 1
        else:
            found[one.tokens] = one._replace(compiled=None), sizes, flatten(one.compiled)
    return Made(number, _encoded(plan, number, list(found.values()), dropped), time.process_time() - started)


def _sampler(rng: np.random.Generator, settings: Settings) -> Sampler:
    """A thread's sampler goes on to its next shard, because it remembers what common s-ops give."""
    found: Sampler | None = getattr(_own, "sampler", None)
    if found is None or found.settings != settings:
        found = _own.sampler = Sampler(rng, settings)
    found.rng = rng
    return found


def _encoded(plan: Plan, number: int, rows: list[Any], dropped: dict[str, int]) -> bytes:
    places = [np.flatnonzero(weights) for _, _, weights in rows]
    texts = [np.frombuffer(to_text(one.program).encode(), dtype=np.uint8) for one, _, _ in rows]
    programs = [np.array(one.tokens, dtype=np.int16) for one, _, _ in rows]
    arrays: Arrays = {
        "weight_places": _joined(places, np.uint16 if plan.most_weights <= 2**16 else np.uint32),
        "weight_values": _joined([w[at] for (_, _, w), at in zip(rows, places)], np.float32),
        "weight_offsets": _offsets(places),
        "sizes": np.array([sizes for _, sizes, _ in rows], dtype=np.int32).reshape(-1, len(Sizes._fields)),
        "tokens": _joined(programs, np.int16),
        "token_offsets": _offsets(programs),
        "text": _joined(texts, np.uint8),
        "text_offsets": _offsets(texts),
        "length": np.array([one.length for one, _, _ in rows], dtype=np.uint8),
        "operations": np.array([one.operations for one, _, _ in rows], dtype=np.uint8),
        "key": np.array([_key(one.tokens) for one, _, _ in rows], dtype=np.uint64),
        "behaviour": np.frombuffer(b"".join(one.behaviour for one, _, _ in rows), dtype=np.uint8).reshape(-1, 16),
    }
    arrays["split"] = split_of(arrays["key"], plan.held_out)
    metadata = {
        "format": FORMAT,
        "plan": msgspec.to_builtins(plan),
        "shard": number,
        "dropped": dropped,
        "vocabulary": VOCABULARY.words,
        "digest": _digest(arrays),
    }
    # one entry: safetensors keeps several in no particular order, and the bytes shall always be the same
    return bytes(save(arrays, {"iwb": json.dumps(metadata)}))


def _joined(parts: list[Any], dtype: Any) -> np.ndarray[Any, np.dtype[Any]]:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def _offsets(parts: list[Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)


def _key(tokens: tuple[int, ...]) -> int:
    """64 bits that stand for a token sequence."""
    return int.from_bytes(hashlib.blake2b(np.array(tokens, dtype="<i2").tobytes(), digest_size=8).digest(), "little")


def split_of(keys: np.ndarray[Any, np.dtype[np.uint64]], held_out: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """0 train, 1 validation, 2 test, from the token sequence alone: no sequence can be in two splits, whatever else is
    in the dataset."""
    share = (keys >> np.uint64(11)).astype(np.float64) / 2.0**53
    return np.where(share < held_out, 2, np.where(share < 2 * held_out, 1, 0)).astype(np.uint8)


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def decode(data: bytes, plan: Plan | None = None) -> Shard:
    """A shard from its bytes. CallError says what is wrong: damaged, cut short, or of another plan than the given."""
    try:
        head = int.from_bytes(data[:8], "little")
        metadata = json.loads(json.loads(data[8 : 8 + head])["__metadata__"]["iwb"])
        if metadata["format"] != FORMAT:
            raise CallError(f"it is a {metadata['format']}", "shard", f"this version reads {FORMAT}")
        made_with = msgspec.convert(metadata["plan"], Plan)
        arrays: Arrays = load(data)
        whole = _fits(arrays, made_with)
        number, dropped = int(metadata["shard"]), dict(metadata["dropped"])
    except CallError:
        raise
    except Exception:  # safetensors has an error of its own for every damage; they all mean one thing here
        raise CallError("it is damaged or cut short, or no shard of a RASP dataset", "shard") from None
    if not whole or metadata.get("digest") != _digest(arrays):
        raise CallError("its content is not what was written", "shard")
    if plan is not None and made_with != plan:
        raise CallError("it belongs to another dataset", "shard", f"it was made with {made_with}")
    return Shard(arrays, number, dropped)


def _fits(a: Arrays, plan: Plan) -> bool:
    """Whether the arrays belong together, so that whatever is read from them lies within. KeyError: one is missing."""
    n = len(a["length"])
    for name, offsets in (
        ("weight_places", "weight_offsets"),
        ("weight_values", "weight_offsets"),
        ("tokens", "token_offsets"),
        ("text", "text_offsets"),
    ):
        at = a[offsets]
        if at.shape != (n + 1,) or at[0] != 0 or at[-1] != len(a[name]) or (np.diff(at) < 0).any():
            return False
    if a["sizes"].shape != (n, len(Sizes._fields)) or (n and a["sizes"].min() < 0) or (a["split"] >= len(SPLITS)).any():
        return False
    if any(len(a[name]) != n for name in ("key", "behaviour", "operations", "split")):
        return False
    most = np.array([Sizes(*row).weights for row in a["sizes"].tolist()], dtype=np.int64)
    return bool(
        (most <= plan.most_weights).all() and (a["weight_places"] < np.repeat(most, np.diff(a["weight_offsets"]))).all()
    )
