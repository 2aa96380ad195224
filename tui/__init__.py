"""The screen: Textual app, views, screens, widgets. It talks to the engine by protocol alone, never torch."""
