"""The losses, hand-made ones and formulas, under one name: ``lossmith.losses.Focal()``.

Example:
    >>> import lossmith
    >>> lossmith.losses.FormulaLoss("(label - pred)**2").title
    '(label - pred)**2'
"""

from lightning_modules.losses import *  # noqa: F403 (one list of names, that of the package)
from lightning_modules.losses import __all__ as __all__
