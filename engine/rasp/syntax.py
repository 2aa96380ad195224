"""RASP text: read into a program. The text is Python's expression syntax with bare comparisons as arguments,

    same_tok = select(tokens, tokens, ==)
    hist = selector_width(same_tok)

parsed by `ast` and interpreted here: nothing in it is ever executed. Assignments name what they assign; the program is
what is returned, or the last expression or assignment. The spelling of Tracr's listings (`rasp.Select(rasp.tokens,
rasp.tokens, rasp.Comparison.EQ)`) is read too.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from engine.rasp.expressions import Reader
from engine.rasp.language import Node, Selector, SOp
from engine.rasp.places import Place
from sessions.errors import CallError

MOST_CHARACTERS = 1_000_000

# What bare comparisons become, so that `ast` reads them as names: letters that stand for no sound people write.
_LETTERS = str.maketrans({"<": "ǀ", ">": "ǁ", "=": "ǂ", "!": "ǃ"})
_SIGNS = str.maketrans({"ǀ": "<", "ǁ": ">", "ǂ": "=", "ǃ": "!"})
_BARE = re.compile(r"==|!=|<=|>=|<|>")
_SKIPPED = re.compile(r"\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*|\s+", re.DOTALL)


class RaspSyntaxError(CallError):
    """A mistake in RASP text: `line` and `column` count from 1, `length` is how many characters are meant."""

    def __init__(self, what: str, line: int = 1, column: int = 1, length: int = 1, remedy: str = "") -> None:
        super().__init__(what, f"line {line}, column {column}", remedy)
        self.line, self.column, self.length = line, column, length

    def __reduce__(self) -> tuple[type[RaspSyntaxError], tuple[str, int, int, int, str]]:
        return RaspSyntaxError, (self.what, self.line, self.column, self.length, self.remedy)

    @property
    def message(self) -> str:
        """One sentence, without the place."""
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


def parse(text: str) -> SOp:
    """The s-op the text ends in; every node knows its `line` and `column`, and has the name it was assigned to.

    RaspSyntaxError: the first mistake, where it stands, and what would be right.
    """
    if len(text) > MOST_CHARACTERS:
        raise RaspSyntaxError(f"the text has {len(text):,} characters, more than {MOST_CHARACTERS:,}")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    source, indent = _dedented("\n".join(lines))
    prepared = _names_for_comparisons(source)
    place = Place(prepared.split("\n"), indent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own about '1 is x'; a map of one s-op twice
            return _program(ast.parse(prepared), place)
    except SyntaxError as error:
        raise _unreadable(error, source, indent) from None
    except (RecursionError, MemoryError):
        raise RaspSyntaxError("the text is nested too deeply", remedy="give the parts names") from None
    except ValueError as error:
        raise RaspSyntaxError(f"the text cannot be read ({error})") from None


def _program(module: ast.Module, place: Place) -> SOp:
    reader = Reader(place, _error)
    last: tuple[Node, ast.AST] | None = None
    returned = False
    for at, statement in enumerate(module.body):
        if returned:
            raise _error(place, statement, "nothing after 'return' is read", "put 'return' last")
        try:
            match statement:
                case ast.Import() | ast.ImportFrom():
                    if "rasp" not in ast.unparse(statement):
                        raise _error(place, statement, "imports are not read", "leave them out")
                case ast.Expr(value=ast.Constant(value=str())) if at == 0:
                    pass  # a docstring
                case ast.Assign(targets=[ast.Name() as target], value=value):
                    made = reader.assign(target, value)
                    last = (made, value) if made is not None else last
                case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                    made = reader.assign(target, value)
                    last = (made, value) if made is not None else last
                case ast.Expr(value=value):
                    last = reader.node(value), value
                case ast.Return(value=ast.expr() as value):
                    last, returned = (reader.node(value), value), True
                case _:
                    raise _error(
                        place,
                        statement,
                        f"'{_first_word(statement, place)}' does not begin a statement of RASP",
                        "write name = expression, one per line",
                    )
        except RaspSyntaxError:
            raise
        except CallError as error:  # of the language itself
            raise _error(place, statement, error.what, error.remedy) from None
        except RecursionError:
            raise _error(place, statement, "the expression is nested too deeply", "give the parts names") from None
    if last is None:
        raise RaspSyntaxError("the program is empty", remedy="write for example: select(tokens, tokens, ==)")
    program, written = last
    if isinstance(program, Selector):
        raise _error(
            place, written, "the program ends in a selector", "end it in selector_width(...) or aggregate(..., x)"
        )
    assert isinstance(program, SOp)
    return program


def _error(place: Place, at: ast.AST, what: str, remedy: str = "") -> RaspSyntaxError:
    line, column, length = place.of(at)
    return RaspSyntaxError(_as_written(what), line, column, length, _as_written(remedy))


def _as_written(text: str) -> str:
    return re.sub("'('[^']*')'", r"\1", text.translate(_SIGNS))  # a quoted string is quoted once


def _first_word(statement: ast.stmt, place: Place) -> str:
    line, column, _ = place.of(statement)
    words = place.lines[line - 1][column - 1 - place.indent :].split()
    return words[0].rstrip(":") if words else type(statement).__name__


def _dedented(text: str) -> tuple[str, int]:
    """Without the indentation all lines share, and how many columns that was."""
    dedented = textwrap.dedent(text)
    for before, after in zip(text.split("\n"), dedented.split("\n")):
        if after.strip():
            return dedented, len(before) - len(after)
    return dedented, 0


def _names_for_comparisons(text: str) -> str:
    """`==` and its like become names of the same length where they stand alone between commas or brackets."""
    found: list[str] = []
    before = ""  # the last character that counts
    at = 0
    while at < len(text):
        skipped = _SKIPPED.match(text, at)
        if skipped:
            found.append(skipped[0])
            before = before if skipped[0][0] in "# \t\n\f\v" else "'"
            at = skipped.end()
            continue
        if text[at] in "\"'":  # a string without an end: a mistake, whatever follows
            return "".join(found) + text[at:]
        sign = _BARE.match(text, at)
        if sign and before in ("(", ",", "=") and _follows(text, sign.end()) in (",", ")"):
            found.append(sign[0].translate(_LETTERS))
            at = sign.end()
            before = "x"
            continue
        before = text[at]
        found.append(before)
        at += 1
    return "".join(found)


def _follows(text: str, at: int) -> str:
    while at < len(text):
        skipped = _SKIPPED.match(text, at)
        if not skipped or skipped[0][0] in "\"'":
            return text[at]
        at = skipped.end()
    return ""


def _unreadable(error: SyntaxError, source: str, indent: int) -> RaspSyntaxError:
    line = min(max(error.lineno or 1, 1), source.count("\n") + 1)
    column = max(error.offset or 1, 1)
    stop = error.end_offset or 0
    length = stop - column if error.end_lineno == error.lineno and stop > column else 1
    message = re.sub(r" \(<unknown>, line \d+\)", "", _as_written(error.msg or "invalid syntax"))
    remedy = ""
    if "Perhaps you forgot a comma" in message:
        message, remedy = "invalid syntax", "is a comma missing?"
    elif "Maybe you meant '=='" in message:
        message = "'=' stands where a value is needed"
        remedy = "write == to compare, name = expression to assign"
    elif "indent" in message:
        message, remedy = "the line is indented", "begin every statement in the first column"
    elif message == "invalid syntax" and not source.strip():
        message = "the program is empty"
    elif message == "invalid syntax":
        wrong = source.split("\n")[line - 1][column - 1 : column - 1 + length].strip()
        message = f"'{wrong}' is not expected here" if wrong else "the line ends too early"
    return RaspSyntaxError(message, line, column + indent, length, remedy)
