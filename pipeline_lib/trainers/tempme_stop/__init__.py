"""Text-video retrieval: token merging and prompts learned around a frozen CLIP."""
