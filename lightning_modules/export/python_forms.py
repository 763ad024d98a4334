"""What surrounds a formula's statements in an exported module: the function for losses of each kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from lightning_modules.losses import POINTWISE, RANKING, FormulaBased, RankingFormulaLoss

#: How scores and what is made of them are written, in this order.
_LEAVES: Mapping[str, str] = {
    "pos": "pos = positive[:, None]",
    "neg": "neg = negative",
    "gap": "gap = neg - pos",
    "pos_t": "pos_t = pos / temperature",
    "neg_t": "neg_t = neg / temperature",
    "gap_t": "gap_t = (neg - pos) / temperature",
    "beta": "beta = beta[:, None]",
    "log_popularity": "log_popularity = log_popularity[:, None]",
}
_OF_ROW: Mapping[str, str] = {
    "beta": "the score from which on items are among the user's top K",
    "log_popularity": "the logarithm of the number of training users of the positive",
}


_PREDICTION_HEAD = (
    "def loss(pred: Tensor, label: Tensor) -> Tensor:\n"
    '    """Return the loss of every sample, in the shape of ``pred``; ``label`` has that shape and type too."""\n'
)


class ModuleForm(ABC):
    """The text around the statements of a formula.

    Attributes:
        title: What the module is.
        validity: What it is computed for.
        like: The name of a variable whose shape and type constants have.
        call: What the function is called with.
    """

    title: str
    validity: str
    like: str
    call: str

    @abstractmethod
    def head(self, loss: FormulaBased) -> str:
        """Return the function's first lines, up to its docstring."""

    @abstractmethod
    def opening(self, loss: FormulaBased) -> list[str]:
        """Return the statements before those of the formula."""

    @abstractmethod
    def closing(self, loss: FormulaBased, result: str) -> str:
        """Return the statement that returns the expression of the formula's value."""


class PredictionForm(ModuleForm):
    """A function of predictions and labels."""

    title = "A loss for predicted probabilities, one value for every sample."
    validity = "``pred`` and ``label`` in [0, 1], of one shape, in float32 and float64; half precision is not covered."
    like = "pred"
    call = "pred, label"

    def head(self, loss: FormulaBased) -> str:  # noqa: ARG002
        """Return the signature and the docstring."""
        return _PREDICTION_HEAD

    def opening(self, loss: FormulaBased) -> list[str]:  # noqa: ARG002
        """Return no statement."""
        return []

    def closing(self, loss: FormulaBased, result: str) -> str:
        """Return the value, and let it depend on ``pred``, which backward needs."""
        return f"return {result}" if "pred" in loss.formula.variables else f"return {result} + 0 * pred"


class ScoreForm(ModuleForm):
    """A function of scores of positives and negatives."""

    title = "A loss for scores of items that users have and of their negatives, one value for every row."
    validity = (
        "scores of any size, in float32 and float64, of negatives that are drawn with one probability; half precision "
        "is not covered."
    )
    like = "pos"
    call = "positive, negative"

    def head(self, loss: FormulaBased) -> str:
        """Return the signature and the docstring."""
        assert isinstance(loss, RankingFormulaLoss)
        extra = [name for name in _OF_ROW if name in loss.formula.variables]
        arguments = ["positive: Tensor", "negative: Tensor", *(f"{name}: Tensor" for name in extra)]
        meanings = "".join(f"    ``{name}`` [n] is {_OF_ROW[name]}.\n" for name in extra)
        told = f"\n\n{meanings}    " if extra else ""
        return (
            f"def loss({', '.join(arguments)}, temperature: float = {loss.temperature!r}) -> Tensor:\n"
            f'    """Return the loss of every row: ``positive`` [n], ``negative`` [n, N] -> [n].{told}"""\n'
        )

    def opening(self, loss: FormulaBased) -> list[str]:
        """Return what makes the formula's variables of the arguments."""
        needed = {"pos", "neg", *loss.formula.variables}
        return [text for name, text in _LEAVES.items() if name in needed]

    def closing(self, loss: FormulaBased, result: str) -> str:
        """Return the mean over the negatives, and let it depend on the scores, which backward needs."""
        mean = f"return ({result}).mean(dim=-1)"
        return mean if loss.has_gradient else f"{mean} + 0 * positive"


#: The form for losses of every dialect, by its name.
FORMS: Mapping[str, ModuleForm] = {POINTWISE.name: PredictionForm(), RANKING.name: ScoreForm()}
