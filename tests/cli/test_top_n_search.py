"""A search for listwise losses of a model that ranks a catalogue, and what the other verbs make of its study."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from lightning_modules.cli.main import main
from lightning_modules.losses import RANKING, Formula, RankingFormulaLoss
from lightning_modules.search.ledger import read_ledger
from lightning_modules.search.study import Study, loss_of
from tests.cli.cli_helpers import TRAINER, candidates

DATA = [
    *("--data=SyntheticFeedback", "--data.num_users=60", "--data.num_items=50", "--data.num_interactions=1200"),
    *("--data.negatives=UniformNegatives", "--data.negatives.count=8", "--data.negatives.shared=true"),
]
MODEL = ["--model=MF", "--model.embedding_dim=4"]
BUDGET = ["--rounds=2", "--candidates=3", "--warmup_updates=2", "--draws=256", "--temperature=0.3"]
SEARCH = ["search", *DATA, *MODEL, *TRAINER, *BUDGET, "--references", "SampledBPR", "SLatK"]
pytestmark = pytest.mark.usefixtures("_undrawn")


@pytest.fixture(scope="module")
def top_n_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study of three candidates in each of two rounds."""
    root = tmp_path_factory.mktemp("top_n") / "study"
    assert main([*SEARCH, f"--search.root={root}"]) == 0
    return root


def test_candidates_are_formulas_of_scores_and_are_trained(top_n_study: Path) -> None:
    ledger = read_ledger(top_n_study)
    assert ledger["kind"].tolist() == ["reference"] * 2 + ["candidate"] * 6
    assert set(ledger["status"]) == {"trained"}
    assert ledger["metric"].between(0, 1).all()
    # Paired over users.
    assert ledger["standard_error"].between(1e-4, 0.1).all()
    assert {Formula.parse(text).dialect for text in candidates(top_n_study)["formula"]} == {RANKING}


def test_rewards_are_over_the_sampled_softmax_at_the_same_temperature(top_n_study: Path) -> None:
    config = yaml.safe_load((top_n_study / "config.yaml").read_text())
    assert config["search"]["monitor"] == "val/ndcg@20"
    ledger = read_ledger(top_n_study)
    root = top_n_study.parent / "softmax"
    baseline = ["--references", '{"class_path": "SampledSoftmax", "init_args": {"temperature": 0.3}}', "--rounds=1"]
    assert main([*SEARCH, *baseline, f"--search.root={root}"]) == 0
    softmax = read_ledger(root).query("kind == 'reference'").iloc[0]
    assert softmax["reward"] == 0
    assert (ledger["metric"] - ledger["reward"]).tolist() == pytest.approx([softmax["metric"]] * len(ledger))


def test_the_study_names_its_losses_with_their_temperature(top_n_study: Path) -> None:
    loss = loss_of(f"{top_n_study}#1")
    assert isinstance(loss, RankingFormulaLoss)
    assert loss.temperature == 0.3
    assert Study.read(top_n_study).loss(1).identity == loss.identity


def test_the_same_command_finds_everything_done(top_n_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_ledger(top_n_study)
    assert main([*SEARCH, f"--search.root={top_n_study}"]) == 0
    assert "Continuing the study" in capsys.readouterr().out
    pd.testing.assert_frame_equal(read_ledger(top_n_study), before)


def test_a_fit_trains_on_the_found_loss(top_n_study: Path, tmp_path: Path) -> None:
    given = ["--model.loss", f"{top_n_study}#1", f"--trainer.default_root_dir={tmp_path}"]
    assert main(["fit", *DATA, *MODEL, *TRAINER, *given]) == 0
    assert main(["fit", *DATA, *MODEL, *TRAINER, "--model.loss=softplus(gap_t)", *given[2:]]) == 0


def test_its_formulas_are_checked(top_n_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(top_n_study)]) == 0
    table = pd.read_csv(top_n_study / "check.csv")
    assert {"falls_with_positive", "rises_with_negatives", "rank"} <= {*table}
    assert "rises" in capsys.readouterr().out


@pytest.mark.parametrize(("to", "said"), [("python", "def loss(positive"), ("latex", "s_{+}")])
def test_its_best_formula_is_exported(
    to: str, said: str, top_n_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(top_n_study), "--to", to, "--overwrite"]) == 0
    assert said in capsys.readouterr().out


@pytest.mark.slow
def test_its_formulas_are_compared(top_n_study: Path, tmp_path: Path) -> None:
    options = [
        "--top=1",
        "--seeds=2",
        *("--learning_rates", "1e-2", "--weight_decays", "0", "--trials=1"),
        f"--compare.root={tmp_path / 'compared'}",
    ]
    assert main(["compare", "--study", str(top_n_study), "--losses=[]", *options, "--trainer.max_epochs=2"]) == 0
    assert "PPO #1" in (tmp_path / "compared" / "summary.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--space.leaves", "pred", "label"], "wants a probability and MF gives scores"),
        (["--baseline=BCE"], "wants a logit and MF gives scores"),
        (["--temperature=0"], "--search.temperature must be > 0"),
        (["--population=4", "--fused=false"], "MF"),
    ],
)
def test_what_does_not_fit_is_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SEARCH, *options, f"--search.root={tmp_path / 'refused'}"]) in (1, 2)
    assert said in capsys.readouterr().err
