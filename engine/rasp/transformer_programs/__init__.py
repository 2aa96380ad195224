"""Transformer Programs: transformers whose parts make hard choices, trained, and then written as Python.

    tasks --> training (model, gates; restarts) --> weights --> conversion --> structure --> writing --> program text
                                                                                                  |
                                    agreement: the text, interpreted (interpretation, scalar), beside the network

Section 8 of the reference; Friedman, Wettig and Chen 2023.
"""
