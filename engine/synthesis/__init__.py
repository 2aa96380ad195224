"""From a trained recurrent network to a Python program that does the same, with the checks that say how far it does.

The road: `states` (hidden states into clusters), `machine` (a minimal Mealy machine, the network asked where the data
is silent), `labelling` (numbers or bits for the states), `formulas` (expressions for update and output), `program`
(readable Python), `evaluator` (the only way a program is ever run), `checking` (verdicts). `tasks` and `training` make
the networks. `operations` loads no torch; import each module by its name.
"""
