"""A meta-model: a transformer that reads the weights of a compiled program and writes the program, token by token
("Towards meta-models for automated interpretability", section 6 of the reference).

    datapoints (data) --> training --> Metamodel (architecture)
                                            |
    weights of a model --> decoding: candidates --> verified: compile each, keep what is proved --> evaluation
"""
