"""Search for a loss function; ``loss_search.py`` names the files that a formula passes."""
