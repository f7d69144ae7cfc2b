"""Published weights: which there are, fetching them, and verifying what is there."""
