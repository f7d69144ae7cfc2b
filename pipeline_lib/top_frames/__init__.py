"""The frames of a video that fit a caption best: for one video, or a file of queries."""
