from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_modules.core.run_config import continue_with

BEFORE = {
    "seed_everything": 42,
    "model": {"class_path": "BiasedMF", "init_args": {"embedding_dim": 8, "loss": None}},
    "compare": {"root": "runs/a", "seeds": 5, "learning_rates": [0.001, 0.01], "losses": None},
    "trainer": {"max_epochs": 10},
    "modelling": "free",
}
FIXED, FREE = ("seed_everything", "model", "compare"), ("compare.seeds", "compare.losses")


def changed(key: str, value: Any) -> dict[str, Any]:
    """Return the settings with another value under a dotted key."""
    result = yaml.safe_load(yaml.safe_dump(BEFORE))
    *path, last = key.split(".")
    place = result
    for name in path:
        place = place[name]
    place[last] = value
    return result


def go_on(path: Path, settings: Any) -> None:
    text = yaml.safe_dump(settings)
    continue_with(path, lambda to: to.write_text(text), fixed=FIXED, without=FREE)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "folder" / "config.yaml"
    go_on(path, BEFORE)
    return path


def test_the_first_settings_are_written(begun: Path) -> None:
    assert yaml.safe_load(begun.read_text()) == BEFORE
    assert [each.name for each in begun.parent.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    "settings",
    [
        BEFORE,
        changed("compare.seeds", 9),
        changed("compare.losses", [{"class_path": "MSE"}]),
        changed("trainer.max_epochs", 99),
        changed("modelling", "also free"),
    ],
    ids=["same", "free", "free and nested", "not fixed", "only begins like a fixed one"],
)
def test_the_same_settings_and_free_ones_pass_and_are_written(begun: Path, settings: dict[str, Any]) -> None:
    go_on(begun, settings)
    assert yaml.safe_load(begun.read_text()) == settings


def test_a_setting_that_earlier_versions_did_not_have_stands_for_what_they_did(begun: Path) -> None:
    for new, reads in ((changed("compare.price", 0.0), True), (BEFORE, True), (changed("compare.price", 0.1), False)):
        text = yaml.safe_dump(new)
        arguments = {"fixed": FIXED, "without": FREE, "added": {"compare.price": 0.0}}
        if reads:
            continue_with(begun, lambda to, text=text: to.write_text(text), **arguments)
            continue
        with pytest.raises(ValueError, match=r"compare.price was 0.0 and is 0.1"):
            continue_with(begun, lambda to, text=text: to.write_text(text), **arguments)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed_everything", 43, "seed_everything was 42 and is 43"),
        ("model.init_args.embedding_dim", 16, "model.init_args.embedding_dim was 8 and is 16"),
        ("model.init_args.dropout", 0.5, "model.init_args.dropout was None and is 0.5"),
        ("compare.learning_rates", [0.001], r"compare.learning_rates was \[0.001, 0.01\] and is \[0.001\]"),
        ("model.init_args", {"embedding_dim": 8, "init_std": 1.0}, "model.init_args.init_std was None and is 1.0"),
    ],
)
def test_a_change_is_refused_by_name_with_both_values_and_nothing_is_written(
    begun: Path, key: str, value: Any, message: str
) -> None:
    before = begun.read_bytes()
    with pytest.raises(ValueError, match=rf"'{begun.parent}' was begun with other settings: {message}\. Name a new"):
        go_on(begun, changed(key, value))
    assert begun.read_bytes() == before
    assert [each.name for each in begun.parent.iterdir()] == ["config.yaml"]


def test_a_setting_that_is_gone_is_a_change(begun: Path) -> None:
    with pytest.raises(ValueError, match="embedding_dim was 8 and is None"):
        go_on(begun, changed("model.init_args", {}))


def test_of_many_changes_five_are_named_and_the_others_counted(begun: Path) -> None:
    many = {f"option_{place}": place for place in range(8)}
    with pytest.raises(ValueError, match=r"option_3 was None and is 3; .*and 3 more\. Name") as raised:
        go_on(begun, changed("model", {**BEFORE["model"], **many}))  # type: ignore[dict-item]
    assert str(raised.value).count(" was None ") == 5


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x80"], ids=["no yaml", "no text"])
def test_a_file_that_cannot_be_read_is_an_error_that_names_it_and_stays(begun: Path, content: bytes) -> None:
    begun.write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.yaml cannot be read as a configuration"):
        go_on(begun, BEFORE)
    assert begun.read_bytes() == content


@pytest.mark.parametrize("content", ["", "just text", "- 1\n- 2"])
def test_a_file_that_holds_something_else_is_refused(begun: Path, content: str) -> None:
    begun.write_text(content)
    with pytest.raises(ValueError, match=r"begun with other settings: .*was None and is 42"):
        go_on(begun, BEFORE)
