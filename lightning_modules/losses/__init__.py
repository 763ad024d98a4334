"""Losses: hand-made ones, formulas, and the language of formulas."""

from lightning_modules.losses.base import Loss
from lightning_modules.losses.contract import MisfitError, Prediction
from lightning_modules.losses.direct_au import DirectAU
from lightning_modules.losses.formula_based import FormulaBased
from lightning_modules.losses.formula_loss import FormulaLoss
from lightning_modules.losses.formula_losses import loss_of_formula
from lightning_modules.losses.formulas.dialect import POINTWISE, RANKING, Dialect
from lightning_modules.losses.formulas.formula import Formula
from lightning_modules.losses.formulas.nodes import Constant, FormulaError, Node, Operation, Variable
from lightning_modules.losses.formulas.numerics import PRESETS, Numerics
from lightning_modules.losses.formulas.operators import OPERATOR_BY_NAME, OPERATORS, Operator
from lightning_modules.losses.inverse_propensity import InversePropensity
from lightning_modules.losses.listwise import CCL, SampledBCE, SampledBPR, SampledWARP
from lightning_modules.losses.listwise_loss import ListwiseLoss
from lightning_modules.losses.loss_object import LossObject
from lightning_modules.losses.pairwise import BPR, RankNetLoss
from lightning_modules.losses.pointwise import BCE, MSE, Focal, Hinge, LabelSmoothing, LogMin, MaxR, ScaledLoss, SumR
from lightning_modules.losses.ranking_formula_loss import RankingFormulaLoss
from lightning_modules.losses.sampled_softmax import BSL, PSL, LogSumLoss, SampledSoftmax
from lightning_modules.losses.scored_batch import ScoredBatch, SharedBatch
from lightning_modules.losses.slatk import SLatK
from lightning_modules.losses.talos import Talos

__all__ = [
    "BCE",
    "BPR",
    "BSL",
    "CCL",
    "MSE",
    "OPERATORS",
    "OPERATOR_BY_NAME",
    "POINTWISE",
    "PRESETS",
    "PSL",
    "RANKING",
    "Constant",
    "Dialect",
    "DirectAU",
    "Focal",
    "Formula",
    "FormulaBased",
    "FormulaError",
    "FormulaLoss",
    "Hinge",
    "InversePropensity",
    "LabelSmoothing",
    "ListwiseLoss",
    "LogMin",
    "LogSumLoss",
    "Loss",
    "LossObject",
    "MaxR",
    "MisfitError",
    "Node",
    "Numerics",
    "Operation",
    "Operator",
    "Prediction",
    "RankNetLoss",
    "RankingFormulaLoss",
    "SLatK",
    "SampledBCE",
    "SampledBPR",
    "SampledSoftmax",
    "SampledWARP",
    "ScaledLoss",
    "ScoredBatch",
    "SharedBatch",
    "SumR",
    "Talos",
    "Variable",
    "loss_of_formula",
]
