"""A CLIP fine-tuned on true and negative frames of questions."""
