"""What an agent's settings must keep to, said in words."""

from collections.abc import Mapping
from typing import Any

_AT_LEAST_ONE = ("memory_size", "batch_size", "soft_update_freq", "actor_update_freq")
_NOT_NEGATIVE = ("init_training_step", "actor_reg", "noise_std", "noise_clip")
_POSITIVE = ("actor_lr", "critic_lr", "gradient_clip_val")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that an agent cannot learn with.

    Args:
        settings: The agent's settings by name; None is one that is left out.

    Raises:
        ValueError: If one is out of its range; it says which, and what the range is.
    """
    for name in _AT_LEAST_ONE:
        if settings[name] < 1:
            raise ValueError(f"{name} must be at least 1, got {settings[name]}")
    check_numbers(settings, not_negative=_NOT_NEGATIVE, positive=_POSITIVE)
    if not 0 <= settings["gamma"] < 1:
        raise ValueError(
            f"gamma is the discount of the next row's value and must lie in [0, 1), got {settings['gamma']}"
        )
    if not 0 < settings["tau"] <= 1:
        raise ValueError(f"tau is the share of a soft update and must lie in (0, 1], got {settings['tau']}")
    if settings["memory_size"] < settings["batch_size"]:
        raise ValueError(
            f"memory_size, the replay's capacity, must hold at least a batch: got {settings['memory_size']} for a "
            f"batch_size of {settings['batch_size']}"
        )


def check_numbers(
    settings: Mapping[str, Any], *, not_negative: tuple[str, ...] = (), positive: tuple[str, ...] = ()
) -> None:
    """Refuse negative numbers, and zeros, where there must be none; None passes.

    Raises:
        ValueError: If there is one; it says which.
    """
    for name in (*not_negative, *positive):
        value = settings[name]
        if value is not None and not (value > 0 if name in positive else value >= 0):
            raise ValueError(f"{name} must be {'above 0' if name in positive else 'at least 0'}, got {value}")
