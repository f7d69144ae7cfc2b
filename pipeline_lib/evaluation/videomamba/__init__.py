"""Evaluation of videos with a class or a value each."""
