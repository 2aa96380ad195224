"""Readable Python: the loop, its text, and the only evaluator it is ever run by."""
