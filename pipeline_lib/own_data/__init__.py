"""Own data: what a folder of videos and annotations holds, and the parameters that fit it."""
