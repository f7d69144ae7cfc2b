"""Masked pretraining of a VideoMamba: a frozen CLIP says what a clip's tokens should be."""
