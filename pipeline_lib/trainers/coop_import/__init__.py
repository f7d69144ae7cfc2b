"""Taking over CoOp checkpoints of other programs."""
