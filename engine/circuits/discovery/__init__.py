"""Circuits found edge by edge: the computational graph, its edited passes, ACDC, attribution, selection."""
