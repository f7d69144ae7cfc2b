"""Annotated events and the windows they label: pure functions of files and numbers."""
