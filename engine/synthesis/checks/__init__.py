"""Verdicts: agreement counted sequence by sequence, and proofs with z3, by induction and up to a length."""
