"""What a training says in the log, and what it leaves out."""

import logging
import warnings
from collections.abc import Iterator, Sequence

import pytest

from lightning_modules.cli import plain_verbs
from lightning_modules.cli.main import main
from lightning_modules.cli.plain_verbs import PlainCommandLine
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


@pytest.mark.parametrize(
    ("options", "category", "told"),
    [
        ([], UserWarning, "warning: look\n"),
        ([], FutureWarning, "place.py:3: FutureWarning: look\n"),
        (["--debug"], UserWarning, "place.py:3: UserWarning: look\n"),
    ],
)
def test_warnings_for_users_come_without_the_place_in_the_code(
    options: list[str], category: type[Warning], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = warnings.formatwarning
    formats: list[str] = []

    class Noting(PlainCommandLine):
        def __init__(self, arguments: Sequence[str]) -> None:
            formats.append(warnings.formatwarning("look", category, "place.py", 3))

    monkeypatch.setattr(plain_verbs, "PlainCommandLine", Noting)
    assert main(["check", "--formulas=label - pred", *options]) == 0
    assert formats == [told]
    assert warnings.formatwarning is usual


@pytest.mark.usefixtures("_logged")
def test_loggers_are_given_back_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    assert main(["--help"]) == 0
    logging.getLogger("lightning_fabric.utilities.seed").info("Seed set to 42")
    assert set(caplog.messages) == {"Seed set to 42"}
