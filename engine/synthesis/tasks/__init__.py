"""The benchmark's 62 tasks: data by seed, exact targets, specifications for proofs, what was published about them.
For training and checking only: no method that extracts a program looks in here."""
