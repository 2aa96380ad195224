"""RASP: programs over sequences, the transformers they compile to, and the way back from weights to programs.

    text --syntax--> program (language) --value_sets, layering--> compiler --> Compiled: weights, labels, variables
                          |                                                        |
                     interpreter                          transformations (LayerNorm, packing, rotation, compression)
                                                                                   |
    sampler --> programs --> dataset --> metamodel                   decompiler --> program + how it was verified

A program is a graph of nodes that ends in one s-op. Everything but the metamodel, the constrained transformers and
`model.py` runs on numpy alone.
"""
