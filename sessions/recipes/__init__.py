"""A recipe: a session without results. Operations, parameters and references between them, in TOML.

A person edits, compares and sends it; `iwb run FILE RECIPE.toml` runs it. One `[[step]]` per operation:

    [[step]]
    id = "sweep"                        # unique, a short word
    operation = "circuits.head_sweep"
    seed = 1                            # 0 when left out

    [step.parameters]
    model = "@model"                    # the first artifact that step `model` left
    prompts = "@prompts.2"              # the second artifact of step `prompts`

A value that begins with `@` is a reference to an earlier step; `@@` writes a plain `@`. TOML knows no null: `"none"`
empties an optional parameter, and a table is no parameter's type. `[values]` at the head, and `$name` where one is
meant, let whoever runs the recipe change them (see values.py); `print = true` marks a step whose results are printed.
"""

from sessions.recipes.reading import parse, read
from sessions.recipes.recipe import Recipe, RecipeStep, Reference, parse_reference, resolve
from sessions.recipes.writing import planned, recipe_of, write

__all__ = [
    "Recipe",
    "RecipeStep",
    "Reference",
    "parse",
    "parse_reference",
    "planned",
    "read",
    "recipe_of",
    "resolve",
    "write",
]
