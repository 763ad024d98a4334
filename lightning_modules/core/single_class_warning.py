"""Warning for the AUC of rows of a single class."""

from pytorch_lightning.utilities import rank_zero_warn


class SingleClassWarning:
    """Warns that AUC is undefined, once for each task, however many epochs evaluate the same rows."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def warn(self, rows: int, label: int, task: str = "") -> None:
        """Warn, unless that was done before.

        Args:
            rows: Number of evaluated rows.
            label: The label that all of them have.
            task: Name of the label where there are several.
        """
        if task in self._warned:
            return
        self._warned.add(task)
        of_task = f" of '{task}'" if task else ""
        rank_zero_warn(
            f"AUC{of_task} is undefined and reported as nan: all {rows} evaluated rows have label {label}. "
            "It compares rows of both classes; evaluate on a split that has both."
        )
