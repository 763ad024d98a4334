"""Sessions of impressions on the command line and in configuration files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightning_modules.cli.main import main
from tests.cli.cli_helpers import TRAINER

MODEL = ["--model=SharedBottom", "--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
FIT = ["fit", *MODEL, *TRAINER, "--data=SessionsDataModule"]


def test_any_impressions_are_wrapped_by_name() -> None:
    options = [*FIT[1:], "--data.impressions=SyntheticImpressions", "--data.impressions.num_sessions=300"]
    assert main(["fit", *options]) == 0
    assert main(["predict", *options, "--ckpt_path=last"]) == 0
    assert list(pd.read_csv("predictions.csv")) == ["session", "user", "click", "conversion"]


def test_a_file_names_a_file_of_impressions_and_the_command_line_their_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    generator = np.random.default_rng(0)
    columns = {name: generator.integers(size, size=100) for name, size in {"visit": 30, "shop": 3, "click": 2}.items()}
    pd.DataFrame(columns).to_csv("log.csv", index=False)
    Path("configs/parts").mkdir(parents=True)
    Path("configs/parts/log.yaml").write_text(
        "class_path: ImpressionsDataModule\n"
        "init_args: {root: nowhere, categorical_columns: [shop], tasks: [click], session_column: visit}\n"
    )
    Path("configs/agents").mkdir()
    Path("configs/agents/log.yaml").write_text(
        "data:\n  class_path: SessionsDataModule\n  init_args:\n    impressions: ../parts/log.yaml\n"
    )
    command = ["fit", *MODEL, *TRAINER, "--config=configs/agents/log.yaml"]
    assert main(command) == 1
    assert "there is no nowhere" in capsys.readouterr().err
    assert main([*command, "--data.impressions.root=log.csv"]) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "the following arguments are required: --data.impressions"),
        (["--data.impressions=KuaiRand"], 2, "the following arguments are required: --data.impressions.root"),
        (["--data.impressions=KuaiRnd"], 2, "--data.impressions: there is no class 'KuaiRnd'; did you mean KuaiRand?"),
        (["--data.impressions=Log"], 2, "there are AliExpress, ImpressionsDataModule, KuaiRand, RetailRocket, Synth"),
        (
            ["--data.impressions=SyntheticImpressions", "--data.impressions.num_sesions=3"],
            2,
            "SyntheticImpressions has no argument 'num_sesions'; did you mean num_sessions?",
        ),
        (
            ["--data.impressions=SyntheticImpressions", "--data.impressions.num_sessions=x"],
            2,
            "--data.impressions.num_sessions: needs a whole number, and is x",
        ),
        (
            ["--data.impressions=SyntheticImpressions", "--data.impressions.session_length=1"],
            1,
            "training sessions has one row only, so that nothing follows from an action; name a session_column",
        ),
    ],
)
def test_what_goes_wrong_is_said_in_a_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, *arguments]) == status
    text = capsys.readouterr().err
    assert said in text
    assert "Traceback" not in text
    assert len(text[text.index("error: ") :]) < 400
