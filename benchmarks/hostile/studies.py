"""Studies whose settings, ledger or states are none."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.hostile.base import SEARCH, STUDY
from benchmarks.hostile.files import ANYTHING, content
from benchmarks.hostile.running import HostileInput
from benchmarks.hostile.texts import alias_bomb

_ANY = (0, 1, 2)
#: How a study is read, by the verb that reads it.
_READERS: dict[str, tuple[str, ...]] = {
    "check": ("check", STUDY, "--points=20", "--figures=0"),
    "export": ("export", STUDY, "--output=loss.py"),
    "report": ("report", STUDY, "--output=report.html"),
    "picture": ("export", STUDY, "--to=picture", "--output=search.png"),
    "compare": (
        "compare",
        f"--study={STUDY}",
        "--root=comparison",
        "--seeds=1",
        "--learning_rates=0.01",
        "--weight_decays=0",
        "--extensions=0",
        "--refinements=0",
        "--trainer.max_epochs=1",
        "--resamples=10",
        "--losses=[]",
    ),
    "search": (*SEARCH, "--rounds=2"),
    "a formula of it": ("check", "--formulas", f"{STUDY}#1", "--points=20", "--root=checked"),
}
_TOUCH = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "ran"]}}
_REMOVES = {
    "class_path": "pytorch_lightning.callbacks.LambdaCallback",
    "init_args": {"on_fit_start": "shutil.rmtree", "setup": "os.mkdir"},
}
_WRITES = {"class_path": "pytorch_lightning.loggers.CSVLogger", "init_args": {"save_dir": "ran"}}
#: What a study's settings hold, by dotted key, in place of what they held.
_SETTINGS: dict[str, Any] = {
    "search": [[1], 7, None, "x", {}],
    "search.numerics": [[1], 7, {"eps": "x"}, {"eps": 1e400}, {"init_args": [1]}, {"class_path": "os.system"}, None],
    "search.strategy": [[1], 7, {"init_args": {}}, {"class_path": 7}, None],
    "search.rounds": ["many", [1], None, 1e400, {}],
    "model": [[1], 7, None, "BCE", _TOUCH, {"class_path": "os.system"}, {"class_path": "BiasedMF", "init_args": [1]}],
    "model.class_path": [7, None, ["BiasedMF"], "torch.hub.load", "../BiasedMF"],
    "model.init_args.embedding_dim": ["x", 0, -1, 10**15, None, [4], float("nan")],
    "model.init_args.optimizer": [_TOUCH, 7, {"class_path": "torch.optim.Nothing"}, {"class_path": "os.system"}],
    "model.init_args.loss": [_TOUCH, 7, "x" * 5000, {"class_path": "FormulaLoss", "init_args": {"formula": 7}}],
    "data": [[1], 7, None, "x", _TOUCH],
    "data.init_args.num_users": ["x", 0, -1, 10**15, None, [4]],
    "data.init_args.batch_size": ["x", 0, 10**15],
    "trainer": [[1], 7, None, "x"],
    "trainer.callbacks": [[_REMOVES], _REMOVES, [7], 7, [_TOUCH], "x"],
    "trainer.logger": [_WRITES, _TOUCH, 7, [_WRITES]],
    "trainer.plugins": [[_TOUCH], 7, ["x"]],
    "trainer.strategy": [_TOUCH, "x", 7],
    "trainer.profiler": [_TOUCH, "x"],
    "trainer.accelerator": ["tpu", 7, _TOUCH],
    "trainer.default_root_dir": ["ran", 7],
    "trainer.gradient_clip_val": ["x", float("nan"), -1],
    "seed_everything": ["x", [1], 10**30],
}
_CONFIGS = {
    "an alias bomb": alias_bomb(),
    "a recursive mapping": "search: &s {numerics: *s, strategy: *s}\nmodel: *s\n",
    "a deep list": "search: " + "[" * 5000 + "]" * 5000,
    "a tag of Python": "search: !!python/object/apply:os.system ['touch ran']\n",
    "a list": "[1, 2]",
    "100,000 keys": "search:\n" + "".join(f"  key{n}: {n}\n" for n in range(100_000)),
}
_COLUMNS = {
    "reward": ("'much'", "x'00ff'", "9e999", "NULL", "-9e999"),
    "formula": ("7", "x'00ff'", "'pred ('", "printf('%.100000c', '(')", "printf('%.3000000c', '1')", "''", "NULL"),
    "kind": ("7", "'nothing'", "x'ff'"),
    "status": ("7", "x'ff'"),
    "round": ("'first'", "1e300", "-1", "9223372036854775807", "x'ff'"),
    "metric": ("'much'", "x'ff'"),
    "right_share": ("'much'",),
    "signature": ("'x'", "1.5"),
    "seconds": ("'long'", "-1", "x'ff'"),
    "position": ("'x'", "-1"),
    "epochs": ("'x'", "-1", "9223372036854775807"),
    "error": ("x'ff'", "printf('%.3000000c', 'e')"),
}
_RECURSIVE = """
DROP TABLE candidates;
CREATE VIEW candidates AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)
SELECT id, 1 AS round, 'candidate' AS kind, 'pred' AS formula, 'pred' AS simplified, 'trained' AS status,
1.0 AS reward, 1.0 AS metric, 1.0 AS right_share, 1 AS signature, 1.0 AS seconds, '' AS error, 1 AS position,
1 AS epochs FROM n;
"""
_LEDGERS = {
    "a recursive view": _RECURSIVE,
    "a recursive view of children": _RECURSIVE.replace("candidates", "children"),
    "a view of itself": "DROP TABLE candidates; CREATE VIEW candidates AS SELECT * FROM candidates;",
    "no table of candidates": "DROP TABLE candidates;",
    "no table of children": "DROP TABLE children;",
    "another table": "DROP TABLE candidates; CREATE TABLE candidates (a, b); INSERT INTO candidates VALUES (1, 2);",
    "a column too few": "ALTER TABLE candidates DROP COLUMN reward;",
    "a column too many": "ALTER TABLE candidates ADD COLUMN wonderful DEFAULT 1;",
    "a column too many of children": "ALTER TABLE children ADD COLUMN wonderful DEFAULT 1;",
    "a child's score that is a text": "UPDATE children SET score = 'x';",
    "a child's place that is none": "UPDATE children SET position = x'ff' WHERE rowid = 1;",
    "a child's status that is none": "UPDATE children SET status = 7, error = x'ff', seconds = 'x';",
    "no rows": "DELETE FROM candidates;",
    "a trigger": "CREATE TRIGGER t BEFORE INSERT ON candidates BEGIN SELECT RAISE(ABORT, 'no'); END;",
    "a million rows": (
        "INSERT INTO candidates (round, kind, formula, simplified, status, reward, seconds, error, position, epochs) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) "
        "SELECT 1, 'candidate', 'pred', 'pred', 'trained', 1.0, 1.0, '', i, 1 FROM n;"
    ),
}


def inputs() -> Iterator[HostileInput]:
    """Yield the command lines."""
    yield from _settings()
    yield from _ledgers()
    yield from _states()


def _settings() -> Iterator[HostileInput]:
    kind = "a study's settings"
    for place, (key, value) in enumerate((key, value) for key, values in _SETTINGS.items() for value in values):
        others = ("check", "export", "search")
        for reader in ("compare", others[place % 3]):
            yield _of_study(reader, kind, f"{key}: {str(value)[:60]}", _set(key, value))
    for name, text in _CONFIGS.items():
        for reader in _READERS:
            yield _of_study(reader, kind, name, _replace("config.yaml", content(text)))
    for name, write in ANYTHING.items():
        for reader in ("check", "compare", "search"):
            yield _of_study(reader, kind, name, _replace("config.yaml", write))


def _ledgers() -> Iterator[HostileInput]:
    kind = "a ledger"
    place = 0
    for column, values in _COLUMNS.items():
        for value in values:
            place += 1
            statement = f"UPDATE candidates SET {column} = {value} WHERE kind = 'candidate';"
            for reader in ("check", [*_READERS][1 + place % (len(_READERS) - 1)]):
                yield _of_study(reader, kind, f"{column} = {value[:60]}", _execute(statement))
    for name, script in _LEDGERS.items():
        for reader in _READERS:
            yield _of_study(reader, kind, name, _execute(script))
    for name, write in ANYTHING.items():
        for reader in ("check", "export", "search"):
            yield _of_study(reader, kind, name, _replace("ledger.sqlite", write))


def _states() -> Iterator[HostileInput]:
    kind = "a state"
    for name, write in ANYTHING.items():
        yield _of_study("search", kind, name, lambda study, write=write: _each_state(study, write))
    for name, change in _state_changes().items():
        # Of the newest alone, so that the one before it is gone on from, and of all.
        yield _of_study(
            "search", kind, f"{name}, newest", lambda study, do=change: _change_states(study, do, newest=True)
        )
        yield _of_study(
            "search", kind, f"{name}, all", lambda study, do=change: _change_states(study, do, newest=False)
        )


def _state_changes() -> dict[str, Callable[[dict[str, Any]], Any]]:
    changes: dict[str, Callable[[dict[str, Any]], Any]] = {
        "a list": lambda state: [state],
        "a number": lambda _: 7,
        "no keys": lambda _: {},
        "keys that are numbers": lambda _: {1: 2},
        "a tensor": lambda _: torch.zeros(3),
    }
    for key in ("rounds", "warm_up", "findings", "strategy", "screening", "schedule"):
        changes[f"{key} missing"] = lambda state, key=key: {name: state[name] for name in state if name != key}
        for value in ("x", None, [1], {"a": 1}, torch.zeros(2), -5):
            name = f"{key} = {str(value)[:20]}"
            changes[name] = lambda state, key=key, value=value: state | {key: value}
    changes["findings of other keys"] = lambda state: state | {"findings": {"candidates": [{"a": 1}], "failures": "x"}}
    return changes


def _of_study(reader: str, kind: str, name: str, change: Callable[[Path], object]) -> HostileInput:
    return HostileInput(
        kind, f"{reader}: {name}", _READERS[reader], (_copy_study, lambda here: change(here / STUDY)), _ANY
    )


def _copy_study(folder: Path) -> None:
    shutil.copytree(folder.parents[1] / "base" / STUDY, folder / STUDY)


def _replace(name: str, write: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(study: Path) -> None:
        (study / name).unlink(missing_ok=True)
        write(study / name)

    return change


def _set(key: str, value: Any) -> Callable[[Path], None]:
    def change(study: Path) -> None:
        settings = yaml.safe_load((study / "config.yaml").read_text(encoding="utf-8"))
        place = settings
        *way, last = key.split(".")
        for name in way:
            place = place[name]
        place[last] = value
        (study / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    return change


def _execute(script: str) -> Callable[[Path], None]:
    def change(study: Path) -> None:
        connection = sqlite3.connect(study / "ledger.sqlite")
        # Which constraints there are is up to whoever wrote the file.
        connection.executescript(
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '');"
        )
        connection.close()
        connection = sqlite3.connect(study / "ledger.sqlite")
        connection.executescript(script)
        connection.commit()
        connection.close()

    return change


def _each_state(study: Path, write: Callable[[Path], object]) -> None:
    for path in sorted((study / "states").glob("*.pt")):
        path.unlink()
        write(path)


def _change_states(study: Path, change: Callable[[dict[str, Any]], Any], *, newest: bool) -> None:
    paths = sorted((study / "states").glob("*.pt"))
    for path in paths[-1:] if newest else paths:
        torch.save(change(torch.load(path, weights_only=True)), path)
