"""The search page: the moments of a folder that fit a query, in a browser."""
