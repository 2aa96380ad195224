"""The ways from a network to a loop with formulas in it, and the choice of the shortest."""
