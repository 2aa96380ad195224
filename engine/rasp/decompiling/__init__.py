"""From the weights of a compiled model back to its program (section 7 of the reference).

    weights --products--> parts: what every head and group of hidden units does to codes and numbers
            (circuits.py, simulation.py: what vectors are read as; parts.py: what is found)
            heads: heads.py
            hidden units: hidden_layer.py --> groups (units.py) --> tables of codes (lookups.py, blocks.py),
            or steps and sums of numbers (thresholds.py, axes.py)
    parts --naming--> values, functions, comparisons (forms.py, candidates.py, predicates.py, naming.py) --> program
    program --verification--> compiled again and compared weight for weight, or run on every input

Readers and writers of the residual stream are only ever met as products, which no change of basis alters. The residual
labels and the program kept beside the weights are never looked at.
"""

from engine.rasp.decompiling.decompiler import Decompiled, Line, decompile

__all__ = ["Decompiled", "Line", "decompile"]
