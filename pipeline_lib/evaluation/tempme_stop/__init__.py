"""Evaluation of text-video retrieval."""
