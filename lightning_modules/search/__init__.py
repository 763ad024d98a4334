"""Search for a loss function."""
