"""What cannot be compiled, and why (section 3, "Must be rejected"): every node is looked at, and named in the error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from engine.rasp.compiled import BOS, PAD, Domain
from engine.rasp.functions import Value
from engine.rasp.language import (
    Aggregate,
    ConstantSOp,
    Full,
    Indices,
    Length,
    LinearSequenceMap,
    Node,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    SOp,
    Tokens,
    labels,
    nodes,
)
from sessions.errors import CallError

_JOINED = {SelectorAnd: "&", SelectorOr: "|", SelectorNot: "~"}


class CompileError(CallError):
    """What is wrong with one node; `line` and `column` (from 1; 0: unknown) say where its text stands."""

    def __init__(self, what: str, node: Node, remedy: str = "") -> None:
        super().__init__(what, f"line {node.line}" if node.line else "", remedy)
        self.line, self.column, self.length = node.line, node.column, 1


@contextmanager
def placed(node: Node) -> Iterator[None]:
    """What goes wrong inside is said of this node."""
    try:
        yield
    except CompileError:
        raise
    except CallError as error:
        raise CompileError(error.what, node, error.remedy) from error


def check(program: SOp) -> None:
    """CallError names the first node that cannot be compiled (inputs before what reads them), by its label and line."""
    check_nodes(program, nodes(program), labels(program))


def check_nodes(program: Node, order: Sequence[Node], names: dict[Node, str]) -> None:
    if not isinstance(program, SOp):
        raise CompileError(f"the program ends in the selector '{names[program]}'", program, "end it in an s-op")
    for node in order:
        problem = _problem(node, names)
        if problem is not None:
            what, remedy = problem
            raise CompileError(f"'{names[node]}' {what}", node, remedy)
    if isinstance(program, Tokens | Indices):
        raise CompileError(f"the program is '{names[program]}' alone", program, "apply an operation to it")
    if not any(isinstance(node, Tokens) for node in order):
        raise CompileError("the program does not read tokens", program, "let something depend on tokens")


def check_domain(domain: Domain) -> None:
    """CallError: nothing to read, a length of zero, a value twice, a name the compiler needs."""
    if not domain.vocab:
        raise CallError("the vocabulary is empty")
    if domain.max_len < 1:
        raise CallError(f"the longest input has {domain.max_len} tokens", remedy="give max_len of at least 1")
    for taken in (BOS, PAD):
        if taken in domain.vocab:
            raise CallError(
                f"'{taken}' is in the vocabulary", remedy="it stands for the compiler's own token; rename it"
            )
    if len(set(domain.vocab)) != len(domain.vocab):
        raise CallError("a value is in the vocabulary twice", remedy="list every value once (1, 1.0 and true are one)")
    if any(v is None or v != v for v in domain.vocab):
        raise CallError("None cannot be a token", remedy="use a word or a number")


def _problem(node: Node, names: dict[Node, str]) -> tuple[str, str] | None:
    """What is wrong with the node, and what would be right."""
    match node:
        case Length():
            return "is the primitive, which has no weights", "use the library's length"
        case Full():
            return "is a constant, which compiles only inside a predicate", "use a map of tokens to the constant"
        case ConstantSOp():
            return "is a constant sequence, which does not compile", "compute it from indices"
        case Tokens() | Indices():
            if node.encoding == "numerical":
                return "is numerical", "leave tokens and indices categorical, and map them to a number"
        case SelectorAnd() | SelectorOr() | SelectorNot():
            return (
                f"combines selectors of different s-ops ({_JOINED[type(node)]}), which has no attention pattern",
                "pair the s-ops in tuples with sequence_map, and select once",
            )
        case Select():
            for role, side in (("keys", node.keys), ("queries", node.queries)):
                if side.encoding == "numerical":
                    return f"takes its {role} from '{names[side]}', which is numerical", "make it categorical"
        case SequenceMap():
            for argument in node.inputs:
                if argument.encoding == "numerical":
                    return (
                        f"reads '{names[argument]}', which is numerical",
                        "make it categorical, or use linear_sequence_map",
                    )
            if node.encoding == "numerical":
                return "is a numerical sequence_map", "make it categorical, or use linear_sequence_map"
        case LinearSequenceMap():
            for argument in node.inputs:
                if argument.encoding == "categorical":
                    return f"reads '{names[argument]}', which is categorical", "make it numerical"
            if node.encoding == "categorical":
                return "is categorical", "make it numerical, and map it to a category afterwards"
            if not all(isinstance(f, int | float) and abs(f) < float("inf") for f in node.factors):
                return f"has the factors {node.factors}", "give two finite numbers"
        case Aggregate():
            if node.encoding != node.sop.encoding:
                return (
                    f"is {node.encoding}, but aggregates '{names[node.sop]}', which is {node.sop.encoding}",
                    "give both the same encoding",
                )
            if node.encoding == "categorical" and node.default is not None:
                return (
                    f"has the default {node.default!r}",
                    "a categorical aggregate gives None where nothing is selected",
                )
            if node.encoding == "numerical" and not (
                node.default is not None and not isinstance(node.default, str | tuple) and node.default == 0
            ):
                return f"has the default {node.default!r}", "a numerical aggregate gives 0 where nothing is selected"
        case SelectorWidth():
            return None
    return None


def dynamic_check(program: SOp, domain: Domain, inputs: Sequence[Sequence[Value]]) -> list[str]:
    """What cannot be seen without running: categorical aggregates that average values that differ, which a one-hot
    cannot hold (even where their mean happens to be another of the values). One sentence per such aggregate, with the
    first input that shows it; inputs on which the program is not defined show nothing."""
    from engine.rasp.interpreter import evaluate_all

    names = labels(program)
    watched = [n for n in nodes(program) if isinstance(n, Aggregate) and n.encoding == "categorical"]
    found: dict[Node, str] = {}
    for row in inputs:
        if len(found) == len(watched):
            break
        try:
            values = evaluate_all(program, list(row), causal=domain.causal)
        except (ValueError, TypeError, ArithmeticError):
            continue
        for node in watched:
            if node in found:
                continue
            for selected in values[node.selector]:
                several = list(dict.fromkeys(v for v, on in zip(values[node.sop], selected) if on))
                if len(several) > 1:
                    place = f" (line {node.line})" if node.line else ""
                    mixed = " and ".join(map(repr, several[:2]))
                    found[node] = f"'{names[node]}'{place} averages values that differ: {mixed} on {list(row)}"
                    break
    return [found[node] for node in watched if node in found]
