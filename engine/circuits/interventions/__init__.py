"""A value put in place of another, and what follows: activation and path patching, attention ablation."""
