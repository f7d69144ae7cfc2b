"""Clipline: folders of videos to features, prompts, fine-tuned models and honest metrics."""
