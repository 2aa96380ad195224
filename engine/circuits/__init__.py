"""Which parts of a transformer do the work: ablate them, measure what is lost, and keep the circuit that is left.

`metrics` says how well a model answers; `runs` prepares prompts and their clean passes; `ablation` says what a removed
component writes instead; `resume` starts a pass where an ablation first changes it. On these stand the methods, one
file each: sweeps, faithfulness, attention. `operations` dresses them for the workbench.
"""
