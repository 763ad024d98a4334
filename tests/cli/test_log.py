"""What a training says in the log, and what it leaves out."""

import logging
from collections.abc import Iterator

import pytest

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import DATA, MODEL, TRAINER

FIT = ["fit", *MODEL, *DATA, *TRAINER]


@pytest.fixture
def _logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let Lightning's loggers tell the test, whether they pass on to the root or not."""
    loggers = [
        logging.getLogger(name) for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.seed")
    ]
    with caplog.at_level(logging.INFO):
        for logger in loggers:
            logger.addHandler(caplog.handler)
        yield
        for logger in loggers:
            logger.removeHandler(caplog.handler)


@pytest.mark.usefixtures("_logged")
def test_the_log_has_what_matters_and_no_advertisements(caplog: pytest.LogCaptureFixture) -> None:
    assert main(FIT) == 0
    said = "\n".join(caplog.messages)
    assert "`max_epochs=1` reached" in said
    assert not any(word in said for word in ("Tip", "litlogger", "TPU", "GPU available: False", "Seed set"))


@pytest.mark.usefixtures("_logged")
def test_loggers_are_given_back_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["--help"]) == 0
    logging.getLogger("lightning_fabric.utilities.seed").info("Seed set to 42")
    assert set(caplog.messages) == {"Seed set to 42"}
