"""The names of RASP text: what was assigned so far, and what a name stands for."""

from __future__ import annotations

import ast

from engine.rasp.functions import Value
from engine.rasp.language import Node, SOp
from engine.rasp.places import Place, Problem
from engine.rasp.words import CALLS, COMPARISONS, LISTINGS, PREDICATES, SOURCES, signature
from sessions.errors import CallError, nearest


class Names:
    """What was assigned so far: nodes and constants. A mistake is raised as `problem` makes it."""

    def __init__(self, place: Place, problem: Problem) -> None:
        self.place = place
        self._problem = problem
        self.nodes: dict[str, Node] = {}
        self.constants: dict[str, Value] = {}
        self._sources: dict[str, SOp] = {}
        self.fixed: set[Node] = set()  # by .named(...): an assignment does not rename them

    def error(self, at: ast.AST, what: str, remedy: str = "") -> CallError:
        return self._problem(self.place, at, what, remedy)

    def check_free(self, target: ast.Name) -> None:
        """Raises where the name is a word of the language, which nothing can be assigned to."""
        name = target.id
        if name in CALLS or name in COMPARISONS or name in ("tokens", "indices", "rasp"):
            raise self.error(target, f"'{name}' has a meaning of its own", "choose another name")

    def assign(self, name: str, value: ast.expr, made: Node | Value) -> None:
        """`name` stands for what was `made` of `value`; a node written there, and not yet named, is called so."""
        if not isinstance(made, Node):
            self.constants[name] = made
            self.nodes.pop(name, None)
            return
        if not isinstance(value, ast.Name | ast.Attribute) and made not in self.fixed and not _numbered(name, made):
            made.name = name
        self.nodes[name] = made
        self.constants.pop(name, None)

    def of(self, e: ast.expr, name: str) -> Node | Value:
        """What `name` stands for where `e` is written; `rasp.name` is never one that was assigned."""
        prefixed = isinstance(e, ast.Attribute)
        if not prefixed and name in self.nodes:
            return self.nodes[name]
        if not prefixed and name in self.constants:
            return self.constants[name]
        if name in SOURCES:
            if name not in self._sources:
                made = SOURCES[name]()
                self.place.given_to(made, e)
                self._sources[name] = made
            return self._sources[name]
        plain = LISTINGS.get(name, name)
        if plain in CALLS or plain in PREDICATES:
            raise self.error(e, f"'{plain}' is an operation without its arguments", f"write {signature(plain)}")
        if name in COMPARISONS:
            raise self.error(e, f"'{name}' stands where an s-op is needed", "it is the last argument of select")
        known = [*self.nodes, *self.constants, *SOURCES, *CALLS]
        raise self.error(e, f"'{name}' is not defined", nearest(name, known))


def _numbered(name: str, node: Node) -> bool:
    """`map_3` is how labels write the third map without a name: assigning to it gives none."""
    return name.startswith(node.default_name + "_") and name[len(node.default_name) + 1 :].isdecimal()
