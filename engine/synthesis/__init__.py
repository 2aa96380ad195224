"""From a trained recurrent network to a Python program that does the same, with the checks that say how far it does.

`training` makes networks for the `tasks`. `routes` turn a network into a loop with formulas: over `normal_forms` and
`lattices` where its update is linear, over `automata` where its states are few, over registers that count and remember.
`formulas` are found by regression, `programs` writes them as Python, `checks` says what was tested and what is proved.
`operations` loads no torch; import each module by its name.
"""
