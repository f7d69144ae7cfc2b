"""Classes or values of videos: fine-tuning of a VideoMamba."""
