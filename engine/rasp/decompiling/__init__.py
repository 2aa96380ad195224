"""From the weights of a compiled model back to its program (section 7 of the reference).

    weights --products--> parts: what every head and group of hidden units does to codes and numbers
            (circuits.py, heads.py, units.py, blocks.py; parts.py says what is found)
    parts --naming--> values, functions, comparisons (candidates.py, naming.py) --> program
    program --verification--> compiled again and compared weight for weight, or run on every input

Readers and writers of the residual stream are only ever met as products, which no change of basis alters. The residual
labels and the program kept beside the weights are never looked at.
"""

from engine.rasp.decompiling.decompiler import Decompiled, Line, decompile

__all__ = ["Decompiled", "Line", "decompile"]
