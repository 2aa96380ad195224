"""What an investigation is: artifacts, steps, the session file, replay and export. No torch, no screen."""
