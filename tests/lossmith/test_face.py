"""What Python hands to the verbs: configurations that the command line reads, objects that none can name, errors."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import pytorch_lightning as pl
import torch
import yaml

import lossmith
from datamodules import ImplicitFeedback, InteractionsDataModule, SyntheticInteractions
from lightning_modules.losses import FormulaLoss, Numerics
from lightning_modules.recommenders import BiasedMF
from lightning_modules.search.reward_tuning import RewardTuning
from lightning_modules.search.settings import SearchSettings
from lightning_modules.search.strategies import RandomSearch
from lightning_modules.search.study import Study
from lossmith.description import IndescribableError, described_data, described_model, plain
from lossmith.session import Request
from lossmith.study import SearchStudy
from lossmith.tables import described_table
from tests.compare.compare_helpers import write_study
from tests.lossmith.modules import Net, Pairs
from tests.lossmith.small import compare, search
from tests.search.child_helpers import planted_data

FRAME = pd.DataFrame({"who": ["a", "b"], "what": [1, 2], "label": [0, 1]})


class InMemory(Pairs):
    """Holds rows that no file can name."""

    def __init__(self, rows: torch.Tensor) -> None:
        super().__init__()
        self.rows = rows


class Unsaved(pl.LightningModule):
    def __init__(self, dim: int = 4) -> None:
        super().__init__()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("BiasedMF", {"class_path": "BiasedMF"}),
        (Net, {"class_path": "tests.lossmith.modules.Net"}),
        (Net(dim=7), {"class_path": "tests.lossmith.modules.Net", "init_args": {"size": 40, "dim": 7}}),
        (
            lossmith.adapt(Net(dim=7), gives="probability"),
            {
                "class_path": "lossmith.adaptation.Adapted",
                "init_args": {
                    "module": {"class_path": "tests.lossmith.modules.Net", "init_args": {"size": 40, "dim": 7}},
                    "gives": "probability",
                },
            },
        ),
    ],
    ids=["name", "class", "object", "adapted"],
)
def test_models_are_described_by_class_and_arguments(model: Any, expected: dict[str, Any]) -> None:
    assert described_model(model) == expected


def test_a_model_of_the_project_is_described_with_its_loss() -> None:
    loss = FormulaLoss("(label - pred)**2")
    described = described_model(BiasedMF(5, 6, embedding_dim=3, loss=loss))["init_args"]
    assert (described["num_users"], described["embedding_dim"], described["loss"]) == (5, 3, loss.spec())


def test_data_are_described_by_what_they_were_given() -> None:
    described = described_data(SyntheticInteractions(num_users=400, ratios=(0.6, 0.2, 0.2)))
    assert described["class_path"].endswith(".SyntheticInteractions")
    assert described["init_args"] == {"num_users": 400, "ratios": [0.6, 0.2, 0.2]}
    assert described_data(Pairs(seed=3))["init_args"] == {"seed": 3}


def test_what_no_file_can_name_is_said_so() -> None:
    class Local(Net):
        pass

    for model, said in ((Local(), "not at the top of a module"), (Unsaved(dim=9), "does not keep its argument 'dim'")):
        with pytest.raises(IndescribableError, match=said):
            described_model(model)
    with pytest.raises(IndescribableError, match="an argument is a Tensor"):
        described_data(InMemory(torch.ones(2)))
    with pytest.raises(IndescribableError, match="an argument is a Tensor"):
        plain(torch.ones(2))


def test_options_become_plain_values() -> None:
    assert plain(RandomSearch)["class_path"].endswith(".RandomSearch")
    described = plain({"tuning": RewardTuning(patience=9), "root": Path("runs")})
    assert described["tuning"]["init_args"]["patience"] == 9
    assert described["root"] == "runs"


@pytest.mark.parametrize("table", [FRAME, pa.Table.from_pandas(FRAME)], ids=["pandas", "arrow"])
def test_a_table_is_written_once_and_read_by_the_data_module(table: Any, tmp_path: Path) -> None:
    described = described_table(table, tmp_path, {"user": "who", "item": "what"}, "logit")
    assert described["class_path"].endswith(f".{InteractionsDataModule.__name__}")
    assert described["init_args"] == {
        "root": str(tmp_path / "data.parquet"),
        "user_column": "who",
        "item_column": "what",
    }
    assert pd.read_parquet(tmp_path / "data.parquet").equals(FRAME)
    assert described_table(table, tmp_path, {}, "scores")["class_path"].endswith(f".{ImplicitFeedback.__name__}")
    with pytest.raises(ValueError, match="holds another table than the one given"):
        described_table(FRAME.assign(label=1), tmp_path, {}, "logit")
    with pytest.raises(ValueError, match="has no column 'whom'; it has who, what, label"):
        described_table(FRAME, tmp_path / "other", {"user": "whom"}, "logit")


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ("model: MF", ImplicitFeedback),
        ("model: {class_path: lightning_modules.recommenders.MF}", ImplicitFeedback),
        ("model: BiasedMF", InteractionsDataModule),
        ("seed_everything: 1", InteractionsDataModule),
        ("model: {", InteractionsDataModule),
    ],
)
def test_a_table_is_read_for_the_model_that_the_configuration_names(
    settings: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []
    monkeypatch.setattr(Request, "run", lambda request, config: asked.append(request))
    (tmp_path / "own.yaml").write_text(settings)
    lossmith.compare(data=FRAME, config=tmp_path / "own.yaml", root=tmp_path)
    assert asked[0].sections["data"]["class_path"].endswith(f".{kind.__name__}")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"candidats": 3}, "did you mean --search.candidates"),
        ({"rounds": 0}, "--search.rounds is 0"),
        ({"time_budget": "soon"}, "'soon' is no duration"),
        ({"columns": {"user": "who"}}, "columns name those of a table"),
    ],
)
def test_what_is_wrong_is_raised(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        lossmith.search("BiasedMF", planted_data(), root=tmp_path, **options)


def test_objects_that_no_file_names_are_searched_with_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        study = search(lossmith.adapt(Net()), InMemory(torch.ones(2)), monitor="val_auc", finalists=0, root=tmp_path)
    assert study.num_candidates == 2
    assert not study.answer.is_validated
    assert study._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    assert "will not name the data" in caplog.text
    settings = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert settings["data"] is None
    assert settings["search"]["holdout"] == 0.0
    assert settings["model"]["init_args"]["module"]["class_path"] == "tests.lossmith.modules.Net"


def test_a_model_that_no_file_names_is_searched_with_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Local(BiasedMF):
        pass

    data = planted_data()
    with caplog.at_level(logging.INFO):
        study = search(Local(data.num_users, data.num_items, embedding_dim=4), data, finalists=0, root=tmp_path)
    assert study.num_candidates == 2
    assert "will not name the model" in caplog.text
    settings = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert settings["model"] is None
    assert settings["data"]["class_path"].endswith(f".{type(data).__name__}")


def test_data_that_hold_nothing_out_are_validated_on_their_own_split(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert SearchSettings().of_data(Pairs()).holdout == 0.0
    assert "Pairs has no hold_out(share, seed)" in caplog.text
    assert SearchSettings().of_data(planted_data()).holdout == 0.1


def test_an_unknown_name_is_no_attribute() -> None:
    assert "search" in dir(lossmith)
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        lossmith.serch  # noqa: B018


def test_a_formula_that_is_longer_than_any_file_name_is_checked(tmp_path: Path) -> None:
    formula = " + ".join(["(label - pred)**2"] * 20)
    assert lossmith.check(formula, root=tmp_path, points=50)["keep"].tolist() == [True]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("kind", [Study.read, str, Path])
def test_studies_of_both_arms_are_named_by_their_folders(
    kind: Callable[[Path], Any], several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = [write_study(tmp_path / name, ["(label - pred)**2"]) for name in ("searched", "random")]
    asked: list[Request] = []
    monkeypatch.setattr(Request, "run", lambda request, config: asked.append(request))
    study, random_study = ([kind(root)] if several else kind(root) for root in roots)
    lossmith.compare(study=study, random_study=random_study)
    assert asked[0].arguments == (f'--compare.study=["{roots[0]}"]', f'--compare.random_study=["{roots[1]}"]')


class OwnModel(BiasedMF):
    """A model whose class is none of the project's."""


@pytest.mark.parametrize("trusted", [False, True])
def test_a_study_brings_its_model_and_data(trusted: bool, tmp_path: Path) -> None:
    sections = {
        "model": {"class_path": described_model(OwnModel if trusted else BiasedMF)["class_path"]},
        "data": described_data(SyntheticInteractions(num_users=40, num_items=30, num_interactions=800)),
    }
    formulas = ["(label - pred)**2", "2 * (label - pred)**2"]
    root = write_study(tmp_path / "study", formulas, {"strategy": "PPO", "rounds": 1}, **sections)
    options = {"trust_study": True} if trusted else {}
    report = compare(study=root, losses=["MSE"], top=1, root=tmp_path / "compared", **options)
    assert report.table()["label"].tolist() == ["BCE", "MSE", "PPO #1"]
    settings = yaml.safe_load((tmp_path / "compared" / "config.yaml").read_text())
    assert settings["model"]["class_path"].endswith("OwnModel" if trusted else "BiasedMF")
    assert settings["data"]["init_args"]["num_users"] == 40


@pytest.mark.parametrize("is_in_file", [False, True])
def test_a_formula_is_the_same_among_losses_and_formulas(is_in_file: bool, tmp_path: Path) -> None:
    formula = "(label - pred)**2 + pred"
    asked = {"numerics": Numerics(low=1e-3), "formulas": [formula]}
    options: dict[str, Any] = {"losses": [formula, FormulaLoss(formula)], "root": tmp_path / "compared"}
    if is_in_file:
        options["config"] = tmp_path / "own.yaml"
        options["config"].write_text(yaml.safe_dump({"compare": plain(asked)}))
    else:
        options |= asked
    data = SyntheticInteractions(num_users=40, num_items=30, num_interactions=800)
    table = compare("BiasedMF", data, **options).table()
    expected = [FormulaLoss(formula, Numerics(low=1e-3)).identity, FormulaLoss(formula).identity]
    assert table["loss"].tolist() == ["BCE", *expected]
    assert table["test_auc"].nunique() == 3


def test_a_model_that_no_file_names_leaves_that_of_the_study_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Local(BiasedMF):
        pass

    asked: list[Request] = []
    monkeypatch.setattr(Request, "run", lambda request, config: asked.append(request))
    lossmith.compare(Local(4, 3), SyntheticInteractions(), study="runs/study")
    assert asked[0].sections["model"] is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, 10), ({"config": "search/quickstart.yaml"}, None), ({"config": "search/quickstart.yaml", "finalists": 3}, 3)],
)
def test_the_number_of_finalists_is_the_configurations_unless_it_is_given(
    given: dict[str, Any], expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []
    monkeypatch.setattr(Request, "run", lambda request, config: asked.append(request))
    monkeypatch.setattr(SearchStudy, "read", lambda root: None)
    lossmith.search("BiasedMF", SyntheticInteractions(), **given)
    assert asked[0].sections["search"].get("finalists") == expected
