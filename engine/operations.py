"""What an operation is: a record that points to a plain function, its typed parameters, and the Context it is given.

An operation is `def f(params: P, ctx: Context) -> Sequence[AnyArtifact]`, where `P` is a frozen msgspec struct whose
fields carry type, default, bounds, choices and one line of help. Forms, the command line and the documentation are made
from that struct by `describe`. This module and every `operations.py` load without torch: mathematics is imported inside
the functions, so listing the catalogue costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from sessions.artifacts import AnyArtifact, Kind
from sessions.errors import CallError, nearest
from sessions.parameters import FieldInfo, OperationInfo, check_value, expected

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import torch

    from engine.models.protocols import RecurrentModel, TransformerModel

# A reference to an input artifact: `@12`, or `@last`, the newest of the kind that fits. A model may also be named by
# its source (`zoo:tpp`): the engine then records the loading as a step of its own first.
ModelRef = Annotated[str, msgspec.Meta(description="model to use: @ID or a source", extra={"kind": "model"})]
PromptsRef = Annotated[str, msgspec.Meta(description="prompts to use: @ID", extra={"kind": "prompts"})]
MatrixRef = Annotated[str, msgspec.Meta(description="matrix to use: @ID", extra={"kind": "matrix"})]
GraphRef = Annotated[str, msgspec.Meta(description="graph to use: @ID", extra={"kind": "graph"})]
# Lists of them, written `@1,@2` or as a JSON list; each is an input of the step.
ModelRefs = Annotated[
    tuple[str, ...], msgspec.Meta(description="models to use: @ID,@ID or sources", extra={"kind": "model"})
]
PromptsRefs = Annotated[
    tuple[str, ...], msgspec.Meta(description="sets of prompts to use: @ID,@ID", extra={"kind": "prompts"})
]
GraphRefs = Annotated[tuple[str, ...], msgspec.Meta(description="graphs to use: @ID,@ID", extra={"kind": "graph"})]
# A RASP program: its text, a name of the library (`sort`, `shift_by(2)`), `@FILE` (replaced by the file's text, so the
# session holds it), or `@ID`/`@last` of a Program artifact in RASP, which is then an input of the step.
RaspText = Annotated[
    str, msgspec.Meta(description="RASP: a library name, the text itself, @FILE or @ID", extra={"text": "rasp"})
]
ProgramRef = Annotated[str, msgspec.Meta(description="program to use: @ID", extra={"kind": "program"})]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every parameter struct. Give each field `Annotated[type, Meta(description=..., ge=..., le=...)]`."""


class Context(Protocol):
    """Everything an operation may ask of the world. It never sees a screen, a socket or a file."""

    seed: int

    @property
    def rng(self) -> np.random.Generator:
        """The step's generator, made from its seed: the same seed gives the same result."""
        ...

    def torch_generator(self, device: str = "cpu") -> torch.Generator: ...

    def artifact(self, ref: str) -> AnyArtifact:
        """The artifact behind a reference of the parameters."""
        ...

    def transformer(self, ref: str) -> TransformerModel:
        """The model behind a reference, loaded (once per engine). CallError when it is of another family."""
        ...

    def rnn(self, ref: str) -> RecurrentModel: ...

    def keep_weights(self, data: bytes) -> str:
        """Keep a model's weights in the session, together with the step's results; if the step fails they are not
        kept. Gives `session:SHA256`, the source of the Model that the step then returns."""
        ...

    def stored_weights(self, ref: str) -> bytes:
        """The weights that a step of this session kept for the model behind a reference, of whatever family.

        CallError when the model is not of this session; IwbError when its weights are missing or damaged.
        """
        ...

    def hold(self, model: TransformerModel | RecurrentModel) -> None:
        """Keep a model that was just loaded, so that the next step need not load it again."""
        ...

    def executor(self) -> Executor:
        """Where independent units run: processes of this machine, or the cluster that was named. Made when first asked
        for and stopped when the step ends, its running units with it if the step was cancelled. Call `progress` while
        waiting for units, and submit module-level functions with plain arguments."""
        ...

    def progress(self, done: int, total: int, note: str = "") -> None:
        """Say how far the work is. Call it after every batch: it is also where cancelling takes effect (CancelledError)
        and where interactive questions are answered in between. It costs microseconds when nothing waits."""
        ...

    def partial(self, artifact: AnyArtifact) -> None:
        """Show a result before it is whole (NaN where unknown). Of each kind the newest is
        shown: a heatmap and a curve, say. Sent at most ten times a second each, never stored."""
        ...

    def checkpoints(self) -> dict[str, Any]:
        """What earlier, interrupted runs of this very step saved: unit key -> value."""
        ...

    def checkpoint(self, unit: str, value: Any) -> None:
        """Keep a finished unit (plain values and numpy arrays) so that a resumed step does not do it again."""
        ...

    def log(self, message: str) -> None: ...


P = TypeVar("P", bound=Params)
Function = Callable[[Any, Context], Sequence[AnyArtifact]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method. `name` is `subject.verb_phrase`; raise `version` when the same parameters give other numbers."""

    name: str
    title: str  # as a menu shows it
    summary: str  # one or two sentences of help: what you get
    params: type[Params]
    gives: tuple[Kind, ...]
    function: Function
    version: int = 1
    interactive: bool = False  # answers in well under a second and may run between the batches of a long step
    live: bool = False  # may be asked while a person types (protocol.Look): answered at once, never recorded
    files: tuple[str, ...] = ()  # parameters that may name a file or folder: its content is part of the work's identity
    outputs: tuple[str, ...] = ()  # parameters that name a file or folder to write, seen from the client's folder
    volatile: bool = False  # tells of this machine at this moment: asked again, it is done again
    source: str = ""  # paper, section or equation


def describe(operation: Operation) -> OperationInfo:
    """The operation as data, for `iwb ops`, forms and help."""
    hints = get_type_hints(operation.params, include_extras=True)
    return OperationInfo(
        name=operation.name,
        title=operation.title,
        summary=operation.summary,
        fields=tuple(_field(f, hints[f.name]) for f in _struct_fields(operation.params)),
        gives=operation.gives,
        version=operation.version,
        interactive=operation.interactive,
        live=operation.live,
        source=operation.source,
    )


def _struct_fields(params: type[Params]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(params)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def _field(field: msgspec.inspect.Field, hint: Any) -> FieldInfo:
    help_text, kind, text = "", "", ""
    of: msgspec.inspect.Type = field.type
    optional = False
    while True:
        if isinstance(of, msgspec.inspect.Metadata):
            help_text = help_text or (of.extra_json_schema or {}).get("description", "")
            kind = kind or (of.extra or {}).get("kind", "")
            text = text or (of.extra or {}).get("text", "")
            of = of.type
        elif isinstance(of, msgspec.inspect.UnionType):
            optional = any(isinstance(t, msgspec.inspect.NoneType) for t in of.types)
            of = next(t for t in of.types if not isinstance(t, msgspec.inspect.NoneType))
        else:
            break
    choices: tuple[str, ...] = ()
    name: Any = "str"
    low: float | None = None
    high: float | None = None
    open_low = open_high = False
    match of:
        case msgspec.inspect.BoolType():
            name = "bool"
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            name = "int" if isinstance(of, msgspec.inspect.IntType) else "float"
            low = of.ge if of.ge is not None else of.gt
            high = of.le if of.le is not None else of.lt
            open_low, open_high = of.ge is None and of.gt is not None, of.le is None and of.lt is not None
        case msgspec.inspect.LiteralType():
            name, choices = "choice", _choices(hint)
        case msgspec.inspect.StrType():
            name = "artifact" if kind else "str"
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            name = "artifacts" if kind else "list"
        case _:
            raise TypeError(f"parameter {field.name}: a form has no field for {of}")
    default = None if field.default is msgspec.NODEFAULT else field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    if isinstance(default, tuple):
        default = list(default)  # as it is after crossing the process boundary
    return FieldInfo(
        name=field.name,
        type=name,
        help=help_text,
        required=field.required,
        default=default,
        minimum=low,
        maximum=high,
        open_minimum=open_low,
        open_maximum=open_high,
        choices=choices,
        kind=kind,
        optional=optional,
        text=text,
    )


def _choices(hint: Any) -> tuple[str, ...]:
    """The words of the Literal in a type hint, in the order they were written (msgspec sorts them)."""
    if get_origin(hint) is Literal:
        return tuple(str(word) for word in get_args(hint))
    return next((found for part in get_args(hint) if (found := _choices(part))), ())


def parse(operation: Operation, values: dict[str, Any]) -> Params:
    """The parameter struct from named values, text or typed. CallError names the parameter and what would be right."""
    fields = {f.name: f for f in describe(operation).fields}
    for name in values:
        if name not in fields:
            raise CallError(f"unknown parameter '{name}'", operation.name, nearest(name, fields))
    for name, field in fields.items():
        if field.required and name not in values:
            raise CallError(f"parameter '{name}' is missing", operation.name, f"give {name}=... ({expected(field)})")
    checked = {name: check_value(operation.name, fields[name], value) for name, value in values.items()}
    try:
        return msgspec.convert(checked, operation.params, strict=False)
    except msgspec.ValidationError as error:  # a rule that FieldInfo does not carry
        raise CallError(str(error), operation.name) from None
