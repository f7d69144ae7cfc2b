"""What this machine has, and what is missing for which part of the pipeline."""
