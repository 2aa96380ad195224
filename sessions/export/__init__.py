"""An investigation for someone without iwb: a report (Markdown, HTML), a notebook, a JSON document, or its recipe."""

from sessions.export.formats import FORMATS, Format, export

__all__ = ["FORMATS", "Format", "export"]
