"""Several sets of prompts as one, so that a model may be trained on more than one kind. Loads without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from engine.operations import Context, Operation, Params, PromptsRefs
from sessions.artifacts import AnyArtifact, Prompts
from sessions.errors import CallError


class Join(Params, frozen=True, kw_only=True):
    """Which sets to put together."""

    prompts: Annotated[PromptsRefs, Meta(description="sets of prompts: @ID,@ID")]


def join(params: Join, ctx: Context) -> Sequence[AnyArtifact]:
    """All rows of the sets, in the order the sets are named. CallError when a set is there twice, or different models
    have looked at the sets."""
    sets: list[Prompts] = []
    for number, ref in enumerate(params.prompts):
        prompts = ctx.artifact(ref)
        if not isinstance(prompts, Prompts):
            raise CallError(f"{ref} is a {prompts.kind}, not prompts", "parameter 'prompts'")
        if ref in params.prompts[:number]:
            raise CallError(f"{ref} is named twice", "parameter 'prompts'", "name each set once")
        sets.append(prompts)
    if len(sets) < 2:
        raise CallError("there is nothing to join", "parameter 'prompts'", "name at least two sets: @ID,@ID")
    readers = sorted({prompts.tokenizer for prompts in sets})
    if len(readers) > 1:
        names = " and ".join(f"'{reader}'" if reader else "none" for reader in readers)
        raise CallError(
            f"the sets have tokens of {names}", "parameter 'prompts'", "see all of them as one model does: prompts.look"
        )
    tasks = list(dict.fromkeys(prompts.task for prompts in sets))
    rows = tuple(row for prompts in sets for row in prompts.rows)
    parts = " + ".join(f"{len(prompts.rows):,}" for prompts in sets)
    return [
        Prompts(
            title=f"{' and '.join(tasks)}, {len(rows):,} prompts",
            summary=f"{parts} of {len(sets)} sets" + (f", tokens of {readers[0]}" if readers[0] else ""),
            task=tasks[0] if len(tasks) == 1 else "own",
            rows=rows,
            rejected=tuple(sentence for prompts in sets for sentence in prompts.rejected),
            tokenizer=readers[0],
            facts={"n": len(rows), "sets": [dict(prompts.facts) | {"title": prompts.title} for prompts in sets]},
        )
    ]


JOIN = Operation(
    name="prompts.join",
    title="Several sets of prompts as one",
    summary="The prompts of several sets one after the other, to train on more than one kind, say, or to test on.",
    params=Join,
    gives=("prompts",),
    function=join,
)

__all__ = ["JOIN", "Join", "join"]
