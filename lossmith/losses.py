"""The losses, hand-made ones and formulas, under one name: ``lossmith.losses.Focal()``.

Example:
    >>> import lossmith
    >>> lossmith.losses.FormulaLoss("(label - pred)**2").title
    '(label - pred)**2'
"""

from lightning_modules.losses import (
    BCE,
    BPR,
    BSL,
    CCL,
    MSE,
    PSL,
    DirectAU,
    Focal,
    Formula,
    FormulaLoss,
    Hinge,
    InversePropensity,
    ListwiseLoss,
    LogMin,
    Loss,
    LossObject,
    MaxR,
    Numerics,
    RankingFormulaLoss,
    RankNetLoss,
    SampledBCE,
    SampledBPR,
    SampledSoftmax,
    SampledWARP,
    SLatK,
    SumR,
    Talos,
)

__all__ = [
    "BCE",
    "BPR",
    "BSL",
    "CCL",
    "MSE",
    "PSL",
    "DirectAU",
    "Focal",
    "Formula",
    "FormulaLoss",
    "Hinge",
    "InversePropensity",
    "ListwiseLoss",
    "LogMin",
    "Loss",
    "LossObject",
    "MaxR",
    "Numerics",
    "RankNetLoss",
    "RankingFormulaLoss",
    "SLatK",
    "SampledBCE",
    "SampledBPR",
    "SampledSoftmax",
    "SampledWARP",
    "SumR",
    "Talos",
]
