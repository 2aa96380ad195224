"""Expressions and regression: from columns of integers to the shortest formula that gives them on every row."""
