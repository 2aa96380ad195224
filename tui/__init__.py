"""The screen: the Textual app, its views, screens and widgets. It talks to the engine by protocol alone, never torch."""
