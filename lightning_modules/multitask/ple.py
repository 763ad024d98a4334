"""Progressive layered extraction: layers of task-specific and shared experts."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from lightning_modules.layers import FieldEmbedding, Gates, ParallelMLP, mix
from lightning_modules.multitask.tower_model import TowerModel


class PLE(TowerModel):
    """Progressive layers of experts that belong to a task or to all.

    Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
    Recommendations", RecSys 2020 (https://doi.org/10.1145/3383313.3412236): every layer (:class:`ExtractionLayer`)
    hands each task a mixture of its own and the shared experts, and the shared path a mixture of all;
    ``logit_k = tower_k(path_k)`` after the last. Takes
    ``categorical`` int64 [n, fields] and ``numerical`` float [n, features], returns logits float [n, tasks].

    The code published in MTReclib also has a gate of the shared path in the last layer, which nothing reads; it is
    left out here.

    Args:
        field_sizes: See :class:`MultiTaskModel`.
        num_numerical: See :class:`MultiTaskModel`.
        tasks: See :class:`MultiTaskModel`.
        bottom_dims: Size of the experts of every layer, first to last.
        num_specific_experts: Number of experts of each task in every layer.
        num_shared_experts: Number of experts that all tasks share in every layer.
        options: The other arguments of :class:`TowerModel`.

    Raises:
        ValueError: If ``bottom_dims`` is empty, or as for :class:`MultiTaskModel`.
    """

    def __init__(
        self,
        field_sizes: Sequence[int],
        num_numerical: int,
        tasks: Sequence[str],
        *,
        num_specific_experts: int = 4,
        num_shared_experts: int = 4,
        **options: Any,
    ) -> None:
        super().__init__(field_sizes, num_numerical, tasks, **options)
        self.embedding = FieldEmbedding(field_sizes, num_numerical, self.embedding_dim)
        if not self.bottom_dims:
            raise ValueError("PLE needs at least one layer of experts: bottom_dims is empty, give it a size a layer")
        sizes = [self.embedding.out_features, *self.bottom_dims]
        layers = [
            ExtractionLayer(
                size,
                next_size,
                self.tasks,
                name=f"layer_{index}",
                num_specific_experts=num_specific_experts,
                num_shared_experts=num_shared_experts,
                dropout=self.dropout,
                batch_norm=self.batch_norm,
                is_last=index == len(self.bottom_dims) - 1,
            )
            for index, (size, next_size) in enumerate(pairwise(sizes))
        ]
        self.extraction: Sequence[ExtractionLayer] = nn.ModuleList(layers)  # type: ignore[assignment]  # acts as one
        self.towers = self.make_towers(len(self.tasks), self.bottom_dims[-1])

    def forward(self, categorical: Tensor, numerical: Tensor) -> Tensor:
        """Return the logit of every task: int64 [n, fields], float [n, features] -> float [n, tasks]."""
        vectors = self.embedding(categorical, numerical)
        first, *rest = self.extraction
        outputs = [experts.read_fields(self.embedding, vectors, categorical) for experts in first.experts]
        paths = first.mixtures([vectors.flatten(1)] * len(outputs), outputs)
        for layer in rest:
            paths = layer(paths)
        logits: Tensor = self.towers(torch.stack(paths, dim=1))
        return logits.squeeze(-1)


class ExtractionLayer(nn.Module):
    """One layer of experts, each a single hidden layer, and the gates over them.

    A task's gate mixes its own and the shared experts, that of the shared path all of them; a gate and the experts of a
    path read that path.

    Args:
        in_features: Size of every path's input.
        out_features: Size of every expert's output.
        tasks: Names of the tasks.
        name: Name of the layer in the log of its gates.
        num_specific_experts: Number of experts of each task.
        num_shared_experts: Number of experts that all tasks share.
        dropout: Share of hidden units that are dropped in training.
        batch_norm: Whether the experts' outputs are normalised over the batch.
        is_last: Whether the shared path ends here, so that it needs no gate.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        tasks: Sequence[str],
        *,
        name: str,
        num_specific_experts: int,
        num_shared_experts: int,
        dropout: float,
        batch_norm: bool,
        is_last: bool,
    ) -> None:
        super().__init__()
        counts = [*[num_specific_experts] * len(tasks), num_shared_experts]
        networks = [
            ParallelMLP(count, in_features, (out_features,), dropout=dropout, batch_norm=batch_norm) for count in counts
        ]
        #: Experts of every path, those of the shared one last.
        self.experts: Sequence[ParallelMLP] = nn.ModuleList(networks)  # type: ignore[assignment]  # acts as one
        own, shared = _names("specific", num_specific_experts), _names("shared", num_shared_experts)
        self.task_gates = nn.ModuleList(Gates(in_features, [f"{name}/{task}"], [*own, *shared]) for task in tasks)
        every = [*(f"{task}_{each}" for task in tasks for each in own), *shared]
        self.shared_gate = None if is_last else Gates(in_features, [f"{name}/shared"], every)

    def forward(self, paths: list[Tensor]) -> list[Tensor]:
        """Return the mixture of every path, that of the shared one last where it goes on; [n, in] -> [n, out] each."""
        return self.mixtures(paths, [experts(path) for experts, path in zip(self.experts, paths, strict=True)])

    def mixtures(self, paths: list[Tensor], outputs: list[Tensor]) -> list[Tensor]:
        """Return the mixture of every path from the outputs [n, experts, out] of every path's experts."""
        *specific, shared = outputs
        mixtures = [
            mix(gate(path), own, shared).squeeze(1)
            for gate, path, own in zip(self.task_gates, paths[:-1], specific, strict=True)
        ]
        if self.shared_gate is not None:
            mixtures.append(mix(self.shared_gate(paths[-1]), *outputs).squeeze(1))
        return mixtures


def _names(kind: str, count: int) -> list[str]:
    return [f"{kind}_{index}" for index in range(count)]
