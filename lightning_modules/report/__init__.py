"""``report``: a search, a comparison or a polish as one HTML file."""
