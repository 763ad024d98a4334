"""Whether critic weights help: a polish of several models on KuaiRand-Pure, by the command that a user would type."""

import argparse
from pathlib import Path

from benchmarks.common.commands import run_command, settle
from benchmarks.common.report import write_report

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "agents" / "kuairand_polish.yaml"
MODELS = ("ESMM", "MMoE", "PLE")


def main() -> None:
    arguments = _arguments()
    settle()
    parts = ["Settings and what they mean are in `configs/agents/kuairand_polish.yaml`."]
    for model in arguments.models:
        root = arguments.output / model.lower()
        options = [f"--model={model}", f"--data.root={arguments.root}", f"--polish.root={root}"]
        run_command(["polish", f"--config={CONFIG}", *options, f"--polish.seeds={arguments.seeds}", *_QUIET])
        parts.append(_section(model, (root / "summary.md").read_text(encoding="utf-8")))
    write_report(
        "kuairand_polish",
        title="Critic-weighted fine-tuning on KuaiRand-Pure",
        parts=parts,
    )


_QUIET = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder with KuaiRand-Pure")
    parser.add_argument("--models", nargs="+", default=MODELS, help="multi-task models by name")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks/polish"), help="finished runs are kept")
    return parser.parse_args()


def _section(model: str, summary: str) -> str:
    """Return a summary under the model's name instead of its own title."""
    _, _, body = summary.partition("\n")
    return f"## {model}\n{body.replace(chr(10) + '## ', chr(10) + '### ').rstrip()}"


if __name__ == "__main__":
    main()
