"""The state of torch's own random numbers, such as dropout's, so that a resumed training draws the same ones."""

import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's generators on the CPU and on the device, as plain tensors for a checkpoint."""
    state = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        state[device.type] = torch.get_device_module(device).get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Put torch's generators into the state that :func:`random_state` returned.

    A state of another kind of device than this one says nothing about it and is left out.
    """
    torch.set_rng_state(state["cpu"].cpu())
    if device.type != "cpu" and device.type in state:
        torch.get_device_module(device).set_rng_state(state[device.type].cpu(), device)
