"""Text-video retrieval: embedding folders, searching them, and finding the moment."""
