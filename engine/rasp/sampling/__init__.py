"""Random RASP programs as rasp-gen draws them ("Towards meta-models for automated interpretability"), the tokens a
meta-model reads and writes them as, and datasets of compiled weights beside program tokens.

    pools --> sampler (steps, evaluation, trials) --> program --> tokens
                                                         |
                                                    (compiler) --> flatten --> shard --> writing, dataset
"""
