"""What data sets that list video files have in common, whatever they say of them."""
