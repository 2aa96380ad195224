"""The seven views, one module each, and `base.py`: what every view is."""
