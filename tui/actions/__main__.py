"""`python -m tui.actions`: the table of keys as Markdown on standard output, for docs/keys.md."""

from tui.actions import keys_as_markdown

print(keys_as_markdown(), end="")
