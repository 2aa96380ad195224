"""Finite machines: hidden states into clusters, minimisation with the network as oracle, labels for the states."""
