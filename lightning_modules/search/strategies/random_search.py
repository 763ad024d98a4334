"""Random search, the baseline of every other strategy."""

from lightning_modules.search.space import Programs
from lightning_modules.search.strategies.base import Outcome, Strategy


class RandomSearch(Strategy):
    """Samples uniformly and learns nothing (Bergstra and Bengio, JMLR 2012)."""

    def ask(self, count: int) -> Programs:
        """Sample ``count`` programs uniformly."""
        return self.space.uniform(count, self.generator)

    def tell(self, outcome: Outcome) -> dict[str, float]:  # noqa: ARG002
        """Learn nothing."""
        return {}
