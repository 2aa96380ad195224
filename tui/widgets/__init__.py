"""The drawings: heatmaps, tables, code, graphs, tokens, curves and points.

Each widget paints whole lines itself (Textual's line API) from a plain-Python picture that knows no Textual, so what is
drawn can be tested as text, a cursor step repaints a few cells, and large data costs what is visible of it.
"""
