"""Training a model further on prompts, and asking two models to go on with the same text."""
