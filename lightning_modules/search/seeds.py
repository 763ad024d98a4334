"""Known losses as programs, which a search may begin with."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from lightning_modules.losses.formulas.dialect import POINTWISE, RANKING
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.search.space import Programs, SearchSpace

#: What stands for all known losses of a space among the seeds of a search.
KNOWN = "known"

#: The known losses of each dialect that need no constant but 1, by its name.
_LOSSES: Mapping[str, Sequence[str]] = {
    POINTWISE.name: (
        # BCE, since the probability of the label is 1 - |label - pred|, and the squared error.
        "-log(1 - (max(pred, label) - min(pred, label)))",
        "(label - pred)**2",
    ),
    RANKING.name: (
        # Sampled softmax without and with the positive in the sum.
        "logmeanexp(gap_t)",
        "softplus(logmeanexp(gap_t))",
        # BSL, whose weight 1 / (1 - t) is that of its authors at temperatures of .06 to .24.
        "logmeanexp(gap_t) + pos",
        # BPR and BCE with negatives.
        "softplus(gap_t)",
        "softplus(-pos_t) + softplus(neg_t)",
        # CCL with a margin of 0.
        "relu(neg_t) - pos_t",
        # WARP-like, PSL with tanh at temperature 1, and a hard one.
        "log(1 + sum(relu(1 + gap_t)))",
        "log(sum(1 + tanh(gap)))",
        "hard(tanh(gap))",
    ),
}


def known_programs(space: SearchSpace) -> list[Programs]:
    """Return the known losses that are formulas of a space."""
    found = []
    for text in _LOSSES[space.dialect.name]:
        with suppress(ValueError):
            found.append(space.encode(Formula.parse(text)))
    return found
