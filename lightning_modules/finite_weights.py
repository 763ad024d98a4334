"""Whether a model's weights are numbers."""

import torch
from torch import nn


def refuse_non_finite(model: nn.Module, use: str) -> None:
    """Refuse a model whose training has diverged, before something is made of it.

    A buffer may hold infinities, as masks do, but nothing that is not a number.

    Args:
        model: The model.
        use: What cannot be done with it, the beginning of the message, such as ``it cannot be exported``.

    Raises:
        ValueError: If a weight is not finite.
    """
    parameters = {name for name, _ in model.named_parameters()}
    for name, values in model.state_dict().items():
        if not values.is_floating_point():
            continue
        bad = int((~torch.isfinite(values) if name in parameters else torch.isnan(values)).sum())
        if bad:
            raise ValueError(
                f"{use}: {bad} of {values.numel()} values of {name} are not finite, as its training has diverged. Take "
                "an earlier checkpoint, or train again with a smaller learning rate or --trainer.gradient_clip_val"
            )
