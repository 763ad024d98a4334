"""Values that a trained agent's critics give to the predictions of other models."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from datamodules.same_data import refuse_other_rows, stored_fingerprint
from lightning_modules.agents.model_inputs import Inputs
from lightning_modules.agents.task_critics import EXPECTED_AGENT, Critics, critics_of, read_checkpoint


class AgentValues:
    """The values Q of a stored agent, whose file is read when they are first asked for.

    The critics are in evaluation mode, are never trained, and compute in float32 on whatever device the rows are.
    This is no module, so that they are no part of the parameters and the state of the module that has them.

    Args:
        path: Checkpoint of an agent.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._critics: Critics | None = None
        self._fingerprint: Any = None
        self._has_seen_rows = False

    @property
    def inputs(self) -> Inputs:
        """What the critics read of a row, and the tasks that they value.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no agent's checkpoint.
        """
        critics = self._loaded()
        return Inputs(critics.field_sizes, critics.num_numerical, critics.tasks)

    def refuse_other_data(self, datamodule: object) -> None:
        """Refuse other rows than the agent was fitted to, or warn that they cannot be compared.

        Args:
            datamodule: The data module of the rows.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the rows differ, or it is no agent's checkpoint.
        """
        self._loaded()
        refuse_other_rows(self._fingerprint, datamodule, f"'{self.path}'", "fit critics to these")

    @torch.no_grad()
    def values(self, categorical: Tensor, numerical: Tensor, action: Tensor) -> Tensor:
        """Return the value of every row's predictions, without a gradient.

        Args:
            categorical: Index of every row within each field, int64 [n, fields].
            numerical: Numerical features, float [n, features].
            action: Predicted probability of every task, float [n, tasks].

        Returns:
            Float32 [n, tasks].

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no agent's checkpoint, or the first rows do not fit its critics.
        """
        critics = self._loaded()
        if not self._has_seen_rows:
            self._check_rows(categorical, numerical, action)
            self._has_seen_rows = True
        if next(critics.parameters()).device != action.device:
            critics.to(action.device)
        # In lower precision rounding would move the values more than other features do.
        with torch.autocast(action.device.type, enabled=False):
            values: Tensor = critics(categorical, numerical.float(), action.float())
        return values

    def _loaded(self) -> Critics:
        if self._critics is None:
            checkpoint = read_checkpoint(self.path, EXPECTED_AGENT)
            self._fingerprint = stored_fingerprint(checkpoint)
            # Building them draws weights that are then replaced; what follows must not depend on that.
            with torch.random.fork_rng(devices=[]):
                self._critics = critics_of(checkpoint, self.path).float()
        return self._critics

    def _check_rows(self, categorical: Tensor, numerical: Tensor, action: Tensor) -> None:
        needs, has = self.inputs, (categorical.shape[1], numerical.shape[1], action.shape[1])
        if has != (len(needs.field_sizes), needs.num_numerical, len(needs.tasks)):
            raise ValueError(
                f"the batch has {has[0]} categorical fields, {has[1]} numerical features and {has[2]} predictions a "
                f"row; the agent '{self.path}' knows {len(needs.field_sizes)} fields, {needs.num_numerical} features "
                f"and {len(needs.tasks)} tasks ({', '.join(needs.tasks)})"
            )
        if categorical.numel():
            self._check_indices(categorical.amax(dim=0).tolist(), needs.field_sizes)

    def _check_indices(self, largest: Sequence[int], field_sizes: Sequence[int]) -> None:
        """Refuse an index beyond its field, which would be read as one of another field."""
        for field, (index, size) in enumerate(zip(largest, field_sizes, strict=True)):
            if index >= size:
                raise ValueError(
                    f"field {field} of the batch has the index {index}, and the agent '{self.path}' knows {size} "
                    f"indices of that field, 0 to {size - 1}; train an agent on this data"
                )
