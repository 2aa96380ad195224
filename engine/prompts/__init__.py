"""Prompts: the tasks of the field with their corrupt partners, one's own files, and how a model sees them."""
