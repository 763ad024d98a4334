"""What became of a training, as tables and ledgers say it; apart, so that these need not import what trains."""

#: It ended; a loss or metric was not finite; it ended with an error.
TRAINED, DIVERGED, FAILED = "trained", "diverged", "failed"
