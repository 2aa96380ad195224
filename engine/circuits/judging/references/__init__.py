"""Circuits that researchers found by hand, as data: heads by class, and rules that say which classes feed which."""
