"""A mixture of experts with one gate."""

from collections.abc import Sequence

from lightning_modules.multitask.mmoe import MMoE


class OMoE(MMoE):
    """A mixture of experts with one gate, so that all tasks read the same mixture.

    The one-gate model that Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018 (https://doi.org/10.1145/3219819.3220007) compare with, after Jacobs et al., "Adaptive
    Mixtures of Local Experts", Neural Computation 3(1), 1991: ``logit_k = tower_k(sum_e g_e expert_e(x))``,
    ``g = softmax(W x + b)``. Arguments, inputs and outputs are those of :class:`MMoE`.
    """

    def gate_names(self) -> Sequence[str]:
        """Return the name of the only gate."""
        return ["all"]
