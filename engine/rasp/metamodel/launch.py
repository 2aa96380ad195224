"""Training a meta-model on several GPUs (or processes): `torchrun -m engine.rasp.metamodel.launch DATASET OUT`.

Every process holds the dataset and takes its share of each batch; gradients are averaged, so the result is that of one
device up to rounding. Started again with the same arguments it goes on from the last checkpoint in OUT. At the end
OUT holds `metamodel.safetensors` and `curves.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.numpy import load, save
from torch import distributed

from engine.rasp.metamodel.architecture import SIZES, Size, encode
from engine.rasp.metamodel.data import Corpus, Source
from engine.rasp.metamodel.data import load as load_rows
from engine.rasp.metamodel.training import PUBLISHED, SMOKE, Recipe, State, Training, World
from engine.rasp.sampling.dataset import read_manifest
from sessions.errors import CallError, IwbError

CHECKPOINT = "checkpoint.safetensors"


def main(arguments: list[str] | None = None) -> int:
    given = _arguments(arguments)
    world = World(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    cuda = torch.cuda.is_available() and not given.cpu
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(device)
    if world.size > 1:
        distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        _train(given, world, device)
    except IwbError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, CallError) else 1
    finally:
        if world.size > 1:
            distributed.destroy_process_group()
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torchrun -m engine.rasp.metamodel.launch", description=__doc__)
    parser.add_argument("dataset", type=Path, help="a folder written by rasp.dataset")
    parser.add_argument("out", type=Path, help="a folder for checkpoints and the result")
    parser.add_argument("--size", choices=sorted(SIZES), default="published")
    parser.add_argument("--steps", type=int, help="default: the recipe's")
    parser.add_argument("--batch", type=int, help="of all processes together; default: the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dense", type=float, help="rotate and compress to this share of the directions (0.9)")
    parser.add_argument("--checkpoint-every", type=int, default=1_000, help="steps")
    parser.add_argument("--cpu", action="store_true", help="use no GPU")
    return parser.parse_args(arguments)


def _train(given: argparse.Namespace, world: World, device: str) -> None:
    source = Source(plan=read_manifest(given.dataset).plan, dense=given.dense, folder=str(given.dataset))
    size: Size = SIZES[given.size]
    recipe = PUBLISHED if given.size == "published" else SMOKE
    changed = {"steps": given.steps, "batch": given.batch, "seed": given.seed}
    recipe = msgspec.structs.replace(recipe, **{name: value for name, value in changed.items() if value is not None})
    train = Corpus(load_rows(source, "train"), size, device=device)
    validation = Corpus(load_rows(source, "val"), size, device=device)
    if len(train) < world.size:
        raise CallError(f"the dataset has {len(train)} programs that fit", str(given.dataset), "make a larger one")
    given.out.mkdir(parents=True, exist_ok=True)
    training = Training(
        size, recipe, train, validation, state=_saved(given.out / CHECKPOINT, recipe, source), world=world
    )

    def watch(training: Training) -> None:
        if world.rank:
            return
        if training.step % given.checkpoint_every == 0:
            _save(given.out / CHECKPOINT, training.state(), recipe, source)
        if training.curves and training.curves[-1].step == training.step:
            point = training.curves[-1]
            print(
                f"step {point.step:,} of {recipe.steps:,}: loss {point.loss:.4f}, validation {point.validation:.4f}, "
                f"tokens {point.tokens:.1%}, programs {point.programs:.1%}, "
                f"{training.seconds / training.ran:.3f} s a step",
                flush=True,
            )

    model = training.run(watch)
    if world.rank == 0:
        _save(given.out / CHECKPOINT, training.state(), recipe, source)
        model.describes = {"source": msgspec.to_builtins(source), "recipe": msgspec.to_builtins(recipe)}
        _write(given.out / "metamodel.safetensors", encode(model))
        curves = [point._asdict() for point in training.curves]
        _write(given.out / "curves.json", json.dumps(curves, indent=1).encode())


def _told(recipe: Recipe, source: Source) -> dict[str, Any]:
    """What a checkpoint has to agree with."""
    return {"recipe": msgspec.to_builtins(recipe), "source": msgspec.to_builtins(source) | {"folder": ""}}


def _save(path: Path, state: State, recipe: Recipe, source: Source) -> None:
    arrays = {f"model/{name}": array for name, array in state.model.items()}
    arrays |= {f"adam/{name}": array for name, array in state.adam.items()}
    rest = {"step": state.step, "curves": state.curves, "pending": state.pending}
    _write(path, save(arrays, {"iwb": json.dumps(rest | _told(recipe, source))}))


def _saved(path: Path, recipe: Recipe, source: Source) -> State | None:
    if not path.exists():
        return None
    data = path.read_bytes()
    try:
        head = int.from_bytes(data[:8], "little")
        rest = json.loads(json.loads(data[8 : 8 + head])["__metadata__"]["iwb"])
        arrays = load(data)
    except Exception:  # of safetensors, json or a missing key: one meaning here
        raise CallError("is damaged", str(path), "remove it to begin anew") from None
    for name, value in json.loads(json.dumps(_told(recipe, source))).items():
        if rest[name] != value:
            raise CallError(f"was made with another {name}", str(path), "give another OUT, or remove it")

    def part(prefix: str) -> dict[str, Any]:
        return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

    return State(rest["step"], part("model/"), part("adam/"), rest["curves"], rest["pending"])


def _write(path: Path, data: bytes) -> None:
    """The whole file or nothing."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
