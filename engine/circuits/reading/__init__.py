"""What a model says of itself without being changed: patterns, scores, lenses, direct effects, weights."""
