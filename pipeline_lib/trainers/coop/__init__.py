"""CoOp: learned prompts on packed window features, with their controls."""
