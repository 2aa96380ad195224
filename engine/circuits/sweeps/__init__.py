"""Ablate components one by one, or one after the other: head sweeps."""
