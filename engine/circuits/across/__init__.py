"""Circuits across models: baselines, what a circuit found on one model does on another, circuits side by side."""
