"""Colour: how much of it the terminal has, the maps that turn numbers into it, and the themes of the screen."""
