"""Frames chosen for questions before and after fine-tuning, beside choices that see no video."""
