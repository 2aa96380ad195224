"""What lies over the views for a moment: forms, the palette, help, notes, drawers, questions."""
