"""Formulas, losses, names and whole command lines that cannot be meant."""

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.hostile.base import (
    CHECK,
    COMMANDS,
    COMPARE,
    EXPORT,
    FIT,
    IMPRESSIONS,
    QUIET,
    SEARCH,
    TABLE,
    TRAINER,
    WIDE_TABLE,
)
from benchmarks.hostile.running import HostileInput

_TERM = "(label - pred)**2"
_LONG = " + ".join([_TERM + " " * 200] * 40)
_FORMULAS = {
    "deep parentheses": "(" * 100_000 + "pred" + ")" * 100_000,
    "deep calls": "log(" * 5_000 + "pred" + ")" * 5_000,
    "minuses": "-" * 150_000 + "pred",
    "too long": "pred+" * 100_000 + "label",
    "no end": "(label - pred",
    "nothing": "",
    "blank": "   ",
    "NUL": "pred\0label",
    "other letters": "\u0440red - label",
    "surrogate": "pred - \udce4",
    "huge number": "1e999 * pred",
    "many digits": "1" * 10_000 + " * pred",
    "Python": "__import__('os').system('touch ran')",
    "attribute": "pred.__class__",
    "shell": "$(touch ran)",
    "percent": "%s%s%n{0}",
    "long name": "a" * 100_000,
    "no prediction": "label * 2",
    "power": "pred ** 9**9**9",
    "lambda": "lambda: 0",
    "rank 0": "{base}/study#0",
    "rank too high": "{base}/study#99999999999999999999",
    "no study": "nowhere#1",
    "study that is a table": "{base}/shop.csv#1",
    "only a rank": "#1",
    "unfinished object": '{"class_path": "Focal"',
    "object of another class": '{"class_path": "os.system", "init_args": {"command": "touch ran"}}',
    "object of a subprocess": '{"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "ran"]}}',
    "object of a class with wrong arguments": '{"class_path": "Focal", "init_args": {"gamma": "x"}}',
    "object of a class with unknown arguments": '{"class_path": "Focal", "init_args": {"delta": 1}}',
    "object without a class": '{"gamma": 1}',
    "object in an object": '{"class_path": {"class_path": "Focal"}}',
    "deep object": '{"class_path": ' * 3000 + "1" + "}" * 3000,
    "deep list": "[" * 20_000 + "]" * 20_000,
    "list": "[BCE, Nothing]",
    "a path": "../../../../etc/passwd",
    "a folder": "/tmp",
    "a device": "/dev/zero",
    "YAML tag": "!!python/object/apply:os.system ['touch ran']",
    "YAML alias": "*a",
}
_SAYS_NOTHING_OF = ("other letters",)
_ANY = (0, 1, 2)
_NAMES = ("categorical_columns", "numerical_columns")


def inputs() -> Iterator[HostileInput]:
    """Yield the command lines."""
    yield from _formulas()
    yield from _long_formulas()
    yield from _losses_named_like_files()
    yield from _names()
    yield from _command_lines()


def _formulas() -> Iterator[HostileInput]:
    several_tasks = ("fit", *IMPRESSIONS, *TRAINER, *QUIET)
    for name, text in _FORMULAS.items():
        # A check tells of such a formula that it is not to be kept; a training refuses it.
        statuses = (0,) if name == "no prediction" else (1, 2)
        check = ("check", "--points=20", "--formulas", text)
        yield HostileInput("a formula", f"--formulas {name}", check, statuses=statuses)
        yield HostileInput("a formula", f"--model.loss {name}", (*FIT, "--model.loss", text))
    for name, text in list(_FORMULAS.items())[::3]:
        yield HostileInput("a formula", f"--formulas {name}", (*COMPARE, "--formulas", text))
    for name, text in list(_FORMULAS.items())[1::3]:
        yield HostileInput("a formula", f"--references {name}", (*SEARCH, "--references", text))
        yield HostileInput("a formula", f"--losses {name}", (*COMPARE, "--losses", text))
    for name, text in list(_FORMULAS.items())[2::3]:
        yield HostileInput("a formula", f"--baseline {name}", (*SEARCH, "--baseline", text))
        yield HostileInput("a formula", f"--model.loss {name}, several tasks", (*several_tasks, "--model.loss", text))


def _long_formulas() -> Iterator[HostileInput]:
    """Yield sound formulas that are longer than a file's name may be."""
    options = {"--model.loss": FIT, "--references": SEARCH, "--baseline": SEARCH, "--losses": COMPARE}
    for option, command in options.items():
        yield HostileInput("a long formula", option, (*command, option, _LONG), statuses=(0,))
    yield HostileInput("a long formula", "--formulas", (*CHECK, "--formulas", _LONG), statuses=(0,))


def _losses_named_like_files() -> Iterator[HostileInput]:
    """Yield losses in a folder that holds files, or worse, of their names."""
    files: dict[str, Callable[[Path], object]] = {
        "settings": lambda folder: (folder / "BCE").write_text("class_path: MSE\n"),
        "an alias bomb": lambda folder: (folder / "BCE").write_text(alias_bomb()),
        "a folder": lambda folder: (folder / "BCE").mkdir(),
        "a formula": lambda folder: (folder / _TERM).write_text("class_path: Focal\n"),
    }
    options = {"--model.loss": FIT, "--references": SEARCH, "--baseline": SEARCH, "--losses": COMPARE}
    for name, prepare in files.items():
        text = _TERM if name == "a formula" else "BCE"
        for option, command in options.items():
            yield HostileInput(
                "a loss named like a file", f"{option} {name}", (*command, option, text), (prepare,), statuses=(0,)
            )


def alias_bomb() -> str:
    """Return YAML of a few hundred characters that stands for 10^9 values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines) + "\n"


def _names() -> Iterator[HostileInput]:
    wide = ("fit", *WIDE_TABLE, "--data.root={base}/wide.csv", *TRAINER, *QUIET, "--data.tasks=[click]")
    names = "[101,121,yes,null,1e3,true]"
    for option in _NAMES:
        other = "--data.categorical_columns=[on]" if option == "numerical_columns" else "--data.numerical_columns=[]"
        yield HostileInput("names", f"{option} {names}", (*wide, other, f"--data.{option}={names}"), statuses=(0,))
        for value in (
            "101",
            "[null]",
            "[~]",
            "yes",
            "[[101]]",
            "[{a: 1}]",
            "[",
            "[no such]",
            "[101,101]",
            '["101",121]',
        ):
            statuses = (0,) if value in ('["101",121]', "[null]", "[~]") else _ANY
            given = (*wide, other, f"--data.{option}={value}")
            yield HostileInput("names", f"{option} {value}", given, statuses=statuses)
    for option in ("label_column", "user_column", "item_column", "time_column"):
        for value in ("null", "yes", "101", "", "[a]", "{a: 1}"):
            arguments = ("fit", *TABLE, "--data.root={base}/shop.csv", *TRAINER, *QUIET, f"--data.{option}={value}")
            yield HostileInput("names", f"{option} {value}", arguments, statuses=_ANY)
    for value in ("[101]", "[yes,click]", "[]", "null", "[null]", "click"):
        given = (*wide, "--data.categorical_columns=[on]", f"--data.tasks={value}")
        yield HostileInput("names", f"tasks {value}", given, statuses=_ANY)


def _command_lines() -> Iterator[HostileInput]:
    long = "x" * 100_000
    for command in COMMANDS.values():
        for name, extra in {
            "unknown option": ("--nothing=1",),
            "long option": (f"--{long}=1",),
            "long value": (f"--seed_everything={long}",),
            "argument of no option": (long,),
            "no value": ("--config",),
            "seed": ("--seed_everything=1e400",),
            "negative seed": ("--seed_everything=-1",),
            "huge seed": (f"--seed_everything={10**30}",),
            "only dashes": ("--",),
            "empty": ("",),
            "surrogate": ("--\udce4=1",),
        }.items():
            yield HostileInput("a command line", name, (*command, *extra), statuses=_ANY)
    for section in ("model", "data", "trainer"):
        for value in ("7", "[1,2]", "null", "", "{a: 1}", "os.system", "x.y.z", long, "{class_path: os.system}"):
            given = (*FIT, f"--{section}={value}")
            yield HostileInput("a section", f"--{section}={value[:40]}", given, statuses=_ANY)
    yield HostileInput("a command line", "long verb", (long,))
    for run in ("", "nowhere", "{base}/shop.csv", "/dev/null", "s3://nowhere/x", long, "{base}", "\udce4"):
        for verb in ("check", "export"):
            yield HostileInput("a study", f"RUN {run[:40]!a}", (verb, run))
        yield HostileInput("a study", f"RUN {run[:40]!a} as onnx", (*EXPORT[:1], run, "--to=onnx"))
        yield HostileInput("a study", f"--study {run[:40]!a}", ("compare", f"--study={run}", "--root=comparison"))
