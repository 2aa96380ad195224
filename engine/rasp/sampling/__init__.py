"""Random RASP programs as rasp-gen draws them ("Towards meta-models for automated interpretability"), the tokens a
meta-model reads and writes them as, and datasets of compiled weights beside program tokens.

    pools --> sampler --> program --> tokens
                             |
                         (compiler) --> flatten --> shards of a dataset
"""
