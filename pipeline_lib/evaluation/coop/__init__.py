"""Evaluation of CoOp prompts."""
