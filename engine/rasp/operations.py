"""What the RASP room offers, as the catalogue lists it. Loads without torch."""

from __future__ import annotations

from engine.operations import Operation
from engine.rasp.benchmark_operations import OPERATIONS as BENCHMARK
from engine.rasp.compile_operations import CheckParams, CompileParams, check, compile_
from engine.rasp.decompile_operations import DecompileParams, decompile
from engine.rasp.metamodel_operations import OPERATIONS as METAMODEL
from engine.rasp.run_operations import PromptsParams, RunParams, TraceParams, prompts, run, trace
from engine.rasp.sampling_operations import OPERATIONS as SAMPLING
from engine.rasp.transformer_programs.operations import OPERATIONS as TRANSFORMER_PROGRAMS

_TRACR = "Lindner et al. 2023, Tracr (arXiv 2301.05062)"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="rasp.compile",
        title="Compile a RASP program to a transformer",
        summary="A transformer that computes the program, by construction: an ordinary model for every other method, "
        "with its true circuit as a graph, a table of where every s-op lives, and a check against the interpreter.",
        params=CompileParams,
        gives=("model", "program", "graph", "table"),
        function=compile_,
        source=_TRACR,
    ),
    Operation(
        name="rasp.check",
        title="Look at a RASP program while it is written",
        summary="The value sets, layers and sizes the compiled model would have, or the first mistake and where it is.",
        params=CheckParams,
        gives=("table",),
        function=check,
        interactive=True,
        live=True,
        volatile=True,
        source=_TRACR,
    ),
    Operation(
        name="rasp.run",
        title="Run a RASP program or a compiled model",
        summary="Inputs through the interpreter, through the weights, or through both side by side.",
        params=RunParams,
        gives=("table",),
        function=run,
        interactive=True,
        source=_TRACR,
    ),
    Operation(
        name="rasp.trace",
        title="Trace an input through a program and its model",
        summary="The value of every s-op at every position, every selector as a matrix, and beside them the attention "
        "patterns of the model and what it decodes to.",
        params=TraceParams,
        gives=("table", "matrix"),
        function=trace,
        interactive=True,
        source=_TRACR,
    ),
    Operation(
        name="rasp.decompile",
        title="Decompile a model to RASP",
        summary="The program behind the weights of a compiled model, whatever the order or rotation of its directions; "
        "verified by compiling it again and comparing the weights, and by running both. What cannot be read is said.",
        params=DecompileParams,
        gives=("program", "table"),
        function=decompile,
        source=_TRACR,
    ),
    Operation(
        name="rasp.prompts",
        title="Make prompts for a compiled model",
        summary="Random inputs in pairs whose answers at the last token differ, so that sweeps, patching and circuits "
        "can be run on a compiled model as on any other.",
        params=PromptsParams,
        gives=("prompts",),
        function=prompts,
    ),
    *SAMPLING,
    *BENCHMARK,
    *METAMODEL,
    *TRANSFORMER_PROGRAMS,
)
