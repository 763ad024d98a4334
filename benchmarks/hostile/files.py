"""Files that are something else than they should be: devices, pipes, bombs, noise, halves."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.hostile.base import COMMANDS, FIT, IMPRESSIONS, PREDICT, QUIET, SEARCH, TABLE, TRAINER, WIDE_TABLE
from benchmarks.hostile.running import HostileInput
from benchmarks.hostile.texts import alias_bomb

Write = Callable[[Path], object]
_ANY = (0, 1, 2)
#: Paths that are no file of the project's whoever asks for them.
PATHS = (
    "",
    "none",
    "/",
    ".",
    "/dev/null",
    "/dev/zero",
    "pipe",
    "s3://nowhere/at/all",
    "x" * 5000,
    "\udce4",
    "~",
    "null",
)


def content(data: bytes | str) -> Write:
    """Return what writes a file of this content."""
    return lambda path: path.write_bytes(data.encode() if isinstance(data, str) else data)


def _link_to(target: str) -> Write:
    return lambda path: path.symlink_to(target)


#: What may lie where any file is asked for.
ANYTHING: dict[str, Write] = {
    "empty": content(""),
    "noise": content(bytes(range(256)) * 40),
    "NUL": content(b"\0" * 1000),
    "one long line": content("x" * 2_000_000),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a link to /dev/zero": _link_to("/dev/zero"),
    "a link to /dev/null": _link_to("/dev/null"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "half a gzip": content(gzip.compress(os.urandom(5000))[:2000]),
}
_SETTINGS: dict[str, str] = {
    "an alias bomb": alias_bomb(),
    "an alias bomb in a section": "model:\n" + "\n".join(f"  {line}" for line in alias_bomb().splitlines()),
    "a recursive list": "a: &a [*a]\nmodel: *a\n",
    "a recursive mapping": "model: &m\n  class_path: BiasedMF\n  init_args: *m\n",
    "a recursive mapping of the trainer": "trainer: &t\n  callbacks: [*t]\n",
    "a deep list": "a: " + "[" * 5000 + "]" * 5000,
    "a deep mapping": "a: " + "{a: " * 3000 + "1" + "}" * 3000,
    "a deep block": "\n".join(" " * n + "a:" for n in range(1500)),
    "many merges": "a: &a {x: 1}\n" + "b: {<<: [" + ", ".join(["*a"] * 50_000) + "]}",
    "a tag of Python": "model: !!python/object/apply:os.system ['touch ran']\n",
    "an object of Python": "model: !!python/object/new:subprocess.Popen [[touch, ran]]\n",
    "an unknown tag": "model: !thing 3\n",
    "a list": "[1, 2]",
    "a number": "7",
    "two documents": "a: 1\n---\nb: 2\n",
    "a trainer that is a list": "trainer: [1, 2]\n",
    "a trainer that is a number": "trainer: 7\n",
    "a trainer that is a text": "trainer: fast\n",
    "a model that is a list": "model: [1, 2]\n",
    "a model that is a number": "model: 7\n",
    "a model of another kind": "model: {class_path: os.system, init_args: {command: touch ran}}\n",
    "a model without a class": "model: {init_args: {embedding_dim: 3}}\n",
    "a model with arguments that are a list": "model: {class_path: BiasedMF, init_args: [1]}\n",
    "data that is a list": "data: [1]\n",
    "data that is a text with a colon": "data: 'a: b: c'\n",
    "keys that are numbers": "1: 2\n3.5: x\nnull: 4\n",
    "keys that are lists": "? [1, 2]\n: 3\n",
    "a seed that is a list": "seed_everything: [1]\n",
    "a verb's section that is a list": "search: [1]\ncompare: [1]\npolish: [1]\npredict: [1]\nckpt_path: [1]\n",
    "a verb's section that is a number": "search: 1\ncompare: 1\npolish: 1\npredict: 1\nckpt_path: 1\n",
    "numbers that are dates": "trainer: {max_epochs: 2020-01-01}\n",
    "a number of 5,000 digits": "trainer: {max_epochs: " + "9" * 5000 + "}\n",
    "a sexagesimal of many parts": "trainer: {max_epochs: 1" + ":59" * 3000 + "}\n",
    "callbacks of another kind": "trainer: {callbacks: [{class_path: os.system, init_args: {command: touch ran}}]}\n",
    "tabs": "model:\n\tclass_path: BiasedMF\n",
    "a file that names itself": "model: settings.yaml\ndata: settings.yaml\ntrainer: settings.yaml\n",
    "100,000 keys": "".join(f"key{n}: {n}\n" for n in range(100_000)),
}


def inputs() -> Iterator[HostileInput]:
    """Yield the command lines."""
    yield from _settings()
    yield from _tables()
    yield from _formula_files()


def _settings() -> Iterator[HostileInput]:
    kind = "--config"
    verbs = list(COMMANDS)
    for place, (name, text) in enumerate(_SETTINGS.items()):
        for verb in {"fit", "search", verbs[place % len(verbs)]}:
            yield _beside(COMMANDS[verb], kind, name, "settings.yaml", content(text), "--config=settings.yaml")
        yield _beside(COMMANDS["fit"], "--model, a file", name, "settings.yaml", content(text), "--model=settings.yaml")
        yield _beside(SEARCH, "--trainer, a file", name, "settings.yaml", content(text), "--trainer=settings.yaml")
    for place, (name, write) in enumerate(ANYTHING.items()):
        for verb in {"fit", verbs[place % len(verbs)]}:
            yield _beside(COMMANDS[verb], kind, name, "settings.yaml", write, "--config=settings.yaml")
        yield _beside(FIT, "--data, a file", name, "settings.yaml", write, "--data=settings.yaml")
    for path in PATHS:
        yield _beside(FIT, kind, f"{path[:40]!a}", "pipe", os.mkfifo, f"--config={path}")


def _tables() -> Iterator[HostileInput]:
    pairs = ("fit", *TABLE, *TRAINER, *QUIET)
    names = ("--data.categorical_columns=[a]", "--data.tasks=[label]", "--data.numerical_columns=[]")
    wide = ("fit", *WIDE_TABLE, *names, *TRAINER, *QUIET)
    header = "user,item,label,a\n"
    rows = "".join(f"{n % 9},{n % 7},{n % 2},{n % 5}\n" for n in range(90))
    texts = {
        "only a header": header,
        "100,000 columns": ",".join(f"c{n}" for n in range(100_000)) + "\n",
        "an unclosed quote": header + '1,"2,0,1\n' + rows,
        "a cell of 200,000 characters": header + "x" * 200_000 + ",1,0,1\n" + rows,
        "a label of 200,000 characters": header + "1,1," + "x" * 200_000 + ",1\n" + rows,
        "too many cells": header + "1,2,0,1" + ",5" * 10_000 + "\n" + rows,
        "too few cells": header + "1\n" + rows,
        "nan labels": header + "1,2,nan,1\n" + rows,
        "huge labels": header + f"1,2,{'9' * 400},1\n" + rows,
        "huge ids": header + f"{'9' * 400},{'8' * 400},0,1\n" + rows,
        "columns named twice": "user,user,label,a\n" + rows,
        "carriage returns": (header + rows).replace("\n", "\r"),
        "a byte order mark": "\ufeff" + header + rows,
    }
    gz = gzip.compress((header + rows).encode())
    writes = {**{name: content(text) for name, text in texts.items()}, **ANYTHING}
    for suffix in ("csv", "parquet"):
        chosen = writes if suffix == "csv" else ANYTHING
        for name, write in chosen.items():
            for command in (pairs, wide):
                what = f"{command[3]}, {suffix}, {name}"
                yield _beside(command, "a table", what, f"table.{suffix}", write, f"--data.root=table.{suffix}")
    yield _beside(
        pairs, "a table", "half a csv.gz", "table.csv.gz", content(gz[: len(gz) // 2]), "--data.root=table.csv.gz"
    )
    yield _beside(
        wide, "a table", "half a csv.gz", "table.csv.gz", content(gz[: len(gz) // 2]), "--data.root=table.csv.gz"
    )
    for path in PATHS:
        for command in (pairs, wide):
            yield _beside(command, "a table", f"{command[3]}, {path[:40]!a}", "pipe", os.mkfifo, f"--data.root={path}")
    for data in ("MovieLens", "KuaiRand", "RetailRocket", "AliExpress"):
        model = IMPRESSIONS[:4] if data != "MovieLens" else TABLE[:2]
        for path in ("", "none", "/dev/null", "{base}/shop.csv"):
            given = ("fit", *model, *TRAINER, *QUIET, f"--data={data}", f"--data.root={path}")
            yield HostileInput("a table", f"{data}, {path!r}", given)
    for path in ("out.txt", "pipe/out.csv", "out.parquet/x.csv", "\udce4.csv"):
        given = (*PREDICT, f"--predict.output={path}")
        yield HostileInput("a file to write", f"--predict.output={path!a}", given, (), _ANY)


def _formula_files() -> Iterator[HostileInput]:
    line = "(label - pred)**2\n"
    texts: dict[str, bytes | str] = {
        "200,000 equal lines": "formula\n" + line * 200_000,
        "a cell of 200,000 characters": 'formula,note\n"' + "x" * 200_000 + '",1\n' + line.strip() + ",2\n",
        "a note of 200,000 characters": "formula,note\n" + line.strip() + ',"' + "x" * 200_000 + '"\n',
        "an unclosed quote": 'formula\n"' + line * 100,
        "NUL in a table": b"formula\npred\0\n" + line.encode(),
        "no column of formulas": "name,reward\na,1\n",
        "100,000 columns": ",".join(f"c{n}" for n in range(100_000)) + "\n1\n",
        "only a header": "formula\n",
        "only bad lines": "x\n" * 20_000,
        "a bad line of a megabyte": "y" * 1_000_000 + "\n" + line,
        "UTF-16": line.encode("utf-16"),
    }
    sound = ("200,000 equal lines", "a cell of 200,000 characters", "a note of 200,000 characters")
    check, compare = ("check", "--points=20", "--figures=0", "--root=checked"), COMMANDS["compare"]
    for name, text in texts.items():
        statuses = (0,) if name in sound else _ANY
        for suffix in ("csv", "txt"):
            what = f"{name}, {suffix}"
            status = statuses if suffix == "csv" else _ANY
            path = f"formulas.{suffix}"
            yield _beside(check, "--file", what, path, content(text), f"--file={path}", statuses=status)
        yield _beside(compare, "--file", name, "formulas.csv", content(text), "--file=formulas.csv")
    for name, write in ANYTHING.items():
        yield _beside(check, "--file", name, "formulas.csv", write, "--file=formulas.csv")
    for path in PATHS:
        yield _beside(check, "--file", f"{path[:40]!a}", "pipe", os.mkfifo, f"--file={path}")


def _beside(
    command: tuple[str, ...],
    kind: str,
    name: str,
    file: str,
    write: Write,
    option: str,
    statuses: tuple[int, ...] = _ANY,
) -> HostileInput:
    return HostileInput(kind, name, (*command, option), (lambda folder: write(folder / file),), statuses)
