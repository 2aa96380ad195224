"""The command line: the same operations as the screen's keys, without a screen."""
