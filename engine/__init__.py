"""What computes: one folder per subject, the catalogue of operations, and the process that runs them."""
