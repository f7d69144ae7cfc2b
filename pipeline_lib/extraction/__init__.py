"""From a folder of videos to features: plan what is missing, decode, embed, write."""
