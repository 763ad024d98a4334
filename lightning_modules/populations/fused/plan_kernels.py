"""Compiled planning of training steps: which rows each of them reads, and which samples read them."""

import numpy as np

from lightning_modules.populations.fused.kernel_arguments import Offsets, Rows, StepPlan
from lightning_modules.utilities.compiled import compiled


@compiled
def plan_steps(user: Rows, item: Rows, label: Rows, steps: Offsets, num_rows: int) -> StepPlan:
    """Return the plan of the steps that begin at the samples ``steps``; the last element is the number of samples."""
    samples, count = len(user), len(steps) - 1
    rows = np.empty(2 * samples + count, np.int32)
    row_starts = np.zeros(count + 1, np.int64)
    terms, others = np.empty(2 * samples, np.int32), np.empty(2 * samples, np.int32)
    item_starts, term_starts = np.empty(count, np.int64), np.empty(2 * samples + count + 1, np.int64)
    places, sizes = np.full(num_rows, -1, np.int64), np.zeros(2 * samples + count, np.int64)
    reads, most_rows, most_samples = 0, 0, 0
    for step in range(count):
        first, end, first_read = steps[step], steps[step + 1], reads
        rows[reads] = 0
        reads += 1
        for column in (user, item):
            item_starts[step] = reads
            for row in column[first:end]:
                if places[row] < first_read:
                    places[row] = reads
                    rows[reads] = row
                    reads += 1
                sizes[places[row]] += 1
        term = 2 * first
        for read in range(first_read, reads):
            term_starts[read] = term
            term += sizes[read]
            sizes[read] = 0
        for sample in range(first, end):
            for row, other in ((user[sample], item[sample]), (item[sample], user[sample])):
                read = places[row]
                place = term_starts[read] + sizes[read]
                terms[place], others[place] = sample, other
                sizes[read] += 1
        row_starts[step + 1] = reads
        most_rows, most_samples = max(most_rows, reads - first_read), max(most_samples, end - first)
    term_starts[reads] = 2 * samples
    rows, term_starts = rows[:reads], term_starts[: reads + 1]
    readers = rows, row_starts, item_starts, terms, others, term_starts
    no_draws = np.empty(0, np.int16), np.empty((0, 0), np.int64)
    return StepPlan(user, item, label, steps, *readers, most_rows, most_samples, *no_draws)
