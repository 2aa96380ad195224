"""The few functions every emitted program brings along: attention in two steps, choose and gather, and the classifier.

They stand in the program as text, so that the file runs anywhere. `interpretation.py` knows them by this text alone and
computes them on whole batches; a program that brings others under these names is refused.
"""

from __future__ import annotations

SELECT_CLOSEST = '''\
def select_closest(keys, queries, predicate):
    """For every query the position of the closest key that matches: its own comes last, the first if none matches."""
    chosen = []
    for i, query in enumerate(queries):
        matches = [j for j, key in enumerate({keys}) if predicate(query, key)]
        chosen.append(min(matches, key=lambda j: (j == i, abs(j - i), j), default=0))
    return chosen
'''
AGGREGATE = '''\
def aggregate(chosen, values):
    """The value at the chosen position."""
    return [values[j] for j in chosen]
'''
SELECT = '''\
def select(keys, queries, predicate):
    """For every query which keys match."""
    return [[predicate(query, key) for key in {keys}] for {query} in {queries}]
'''
AGGREGATE_SUM = '''\
def aggregate_sum(matches, values):
    """The sum of the values at all matching positions."""
    return [sum(value for value, match in zip(values, row) if match) for row in matches]
'''
LOOK_UP = '''\
def look_up(table, values):
    """The table's entry for every value."""
    return [table[value] for value in values]
'''
SCALE = '''\
def scale(scores, values):
    """The scores times every value."""
    return [[score * value for score in scores] for value in values]
'''
CLASSIFY = '''\
def classify(classes, scores):
    """At every position the class with the highest sum of scores, the first of equals."""
    totals = [[sum(column) for column in zip(*rows)] for rows in zip(*scores)]
    return [classes[total.index(max(total))] for total in totals]
'''


def library(causal: bool) -> dict[str, str]:
    """The text of each function by its name. In a causal network a query sees the keys up to its own position."""
    return {
        "select_closest": SELECT_CLOSEST.replace("{keys}", "keys[: i + 1]" if causal else "keys"),
        "aggregate": AGGREGATE,
        "select": SELECT.replace("{keys}", "keys[: i + 1]" if causal else "keys")
        .replace("{queries}", "enumerate(queries)" if causal else "queries")
        .replace("{query}", "i, query" if causal else "query"),
        "aggregate_sum": AGGREGATE_SUM,
        "look_up": LOOK_UP,
        "scale": SCALE,
        "classify": CLASSIFY,
    }
