"""A recipe's steps, done one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from cli.host import Host, Outcome
from engine.catalogue import operation as find_operation
from sessions.recipes import Recipe, RecipeStep, resolve


def perform(recipe: Recipe, place: Host, *, again: bool = False) -> Iterator[tuple[RecipeStep, Outcome]]:
    """Do each step and give it with its outcome; its note is written unless the same note stands there already."""
    for step in recipe.steps:
        find_operation(step.operation)  # a misspelt last step is found before an hour of work, not after
    produced: dict[str, list[int]] = {}
    for step in recipe.steps:
        outcome = place.run(step.operation, resolve(step, produced), seed=step.seed, again=again)
        produced[step.id] = [artifact.id for artifact in outcome.artifacts]
        written = {note.text for note in place.session.notes() if note.step == outcome.step.id}
        if step.note and step.note not in written:
            place.note(step.note, step=outcome.step.id)
        yield step, outcome
