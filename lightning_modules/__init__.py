"""What learns: recommenders, their losses and layers, and the search for a loss."""
