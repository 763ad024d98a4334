"""The commands that made the stored runs, and that use them again; README.md says when and how they were made."""

import random
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

from train import main

ARCHIVE = Path(__file__).resolve().parent / "runs.tar.xz"
#: What is kept of the folders that the commands write.
KEPT = ("config.yaml", "data.json", "formulas.csv", "*.sqlite*", "*.pt", "*.ckpt", "*.npz", "*.csv", "summary.md")

SHOP = ["--data=InteractionsDataModule", "--data.root=data/shop.csv", "--data.batch_size=64"]
VISITS = [
    *("ImpressionsDataModule", "root=data/visits.csv", "categorical_columns=[customer,product]"),
    *("numerical_columns=[price]", "tasks=[clicked,bought]", "session_column=visit", "user_column=customer"),
    "time_column=when",
]
IMPRESSIONS = [f"--data={VISITS[0]}", *(f"--data.{each}" for each in VISITS[1:]), "--data.batch_size=64"]
SESSIONS = [
    *("--data=SessionsDataModule", f"--data.impressions={VISITS[0]}", "--data.batch_size=64"),
    *(f"--data.impressions.{each}" for each in VISITS[1:]),
]
NETWORK = ["--model.embedding_dim=4", "--model.hidden_features=[8]"]
TOWERS = ["--model.embedding_dim=4", "--model.bottom_dims=[8]", "--model.tower_dims=[4]"]
AGENT = [
    *("--model.actor=fits/esmm/resume/last.ckpt", "--model.embed_dim=4", "--model.bottom_mlp_dims=[8]"),
    *("--model.tower_mlp_dims=[4]", "--model.memory_size=100", "--model.batch_size=32", "--model.init_training_step=2"),
]
CRITICS = ["--model.loss.agent=fits/ddpg/checkpoints/last.ckpt", "--model.loss.polish_lambda=0.7"]
TRAINER = ["--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.enable_progress_bar=false"]
BIASED_MF = ["--model=BiasedMF", "--model.embedding_dim=4"]

#: The options of every training that was stored, by the name of its folder.
FITS = {
    "biased_mf": [*SHOP, *BIASED_MF, "--model.loss=BCE"],
    "biased_mf_formula": [*SHOP, *BIASED_MF, "--model.loss=(label - pred)**2 - label * log(pred)"],
    "deep_mf": [*SHOP, "--model=DeepMF", *NETWORK, "--model.loss=Focal"],
    "ranknet": [*SHOP, "--model=RankNet", *NETWORK],
    "esmm": [*IMPRESSIONS, "--model=ESMM", *TOWERS],
    "mmoe": [*IMPRESSIONS, "--model=MMoE", *TOWERS, "--model.num_experts=2", "--model.weighting=UncertaintyWeighting"],
    "ddpg": [*SESSIONS, "--model=DDPG", *AGENT],
    "td3_bc": [*SESSIONS, "--model=TD3BC", *AGENT, "--model.behaviour=noisy_actor", "--model.actor_frozen=true"],
    "critic_weighted": [*IMPRESSIONS, "--model=ESMM", *TOWERS, "--model.loss=CriticWeightedLoss", *CRITICS],
}
SEARCH = [
    *("search", *SHOP, *BIASED_MF, *TRAINER, "--trainer.max_epochs=1", "--root=study", "--candidates=2"),
    *("--warmup_updates=1", "--draws=64", "--references=[BCE,MSE]", "--top=1", "--strategy=PPO"),
    *("--search.strategy.hidden_size=4", "--search.strategy.warmup_draws=32", "--search.strategy.warmup_uniform=32"),
    *("--search.strategy.warmup_steps=1", "--search.strategy.imitation_batch=8", "--search.strategy.epochs=1"),
    "--search.space.nodes=6",
]
COMPARE = [
    *("compare", "--study=study", "--losses", "BCE", "MSE", "--root=compare", "--top=1"),
    *("--learning_rates=[1e-2]", "--weight_decays=[1e-5]", "--refinements=0", "--extensions=0", "--tuning_seeds=1"),
    *("--trainer.max_epochs=2", "--resamples=20"),
]
POLISH = [
    *("polish", *IMPRESSIONS, "--model=ESMM", *TOWERS, *TRAINER, "--trainer.max_epochs=1", "--root=polish"),
    *("--agent=DDPG", "--polish.agent.embed_dim=4", "--polish.agent.bottom_mlp_dims=[8]"),
    *("--polish.agent.tower_mlp_dims=[4]", "--fine_tuning_epochs=1", "--agent_epochs=1", "--agent_rows=64"),
    *("--resamples=20", "--variants=[one_minus_q]", "--weightings=[]", "--from_scratch=false"),
]


def checkpoint(name: str) -> Path:
    """Return the checkpoint of a stored training, from which it goes on and which is used."""
    (path,) = Path("fits", name).rglob("last.ckpt")
    return path


def fit(name: str, epochs: int) -> list[str]:
    """Return the command of a stored training."""
    keeps = [f"--trainer.default_root_dir=fits/{name}", "--trainer.logger=false"]
    return ["fit", *FITS[name], *TRAINER, *keeps, f"--trainer.max_epochs={epochs}"]


def resume(name: str) -> list[str]:
    """Return the command that goes on with a stored training for one more epoch."""
    return [*fit(name, epochs=2), "--ckpt_path=last"]


def use(verb: str, name: str, *options: str) -> list[str]:
    """Return the command that tests a stored training's model, or predicts with it."""
    return [verb, *TRAINER, "--trainer.logger=false", f"--ckpt_path={checkpoint(name)}", *options]


def write_data(folder: Path) -> None:
    """Write the tables, whose labels depend on the ids so that something is to be learnt."""
    draw = random.Random(1)
    folder.mkdir()
    rows = sorted({(draw.randrange(30), draw.randrange(20)) for _ in range(500)})
    draw.shuffle(rows)
    lines = [f"c{user},p{item},{int(draw.random() < 0.2 + 0.6 * ((user + item) % 3 == 0))}" for user, item in rows]
    (folder / "shop.csv").write_text("\n".join(["uid,iid,label", *lines]) + "\n")
    lines = []
    for visit in range(120):
        customer = draw.randrange(25)
        for _ in range(3):
            product = draw.randrange(15)
            clicked = draw.random() < 0.3 + 0.4 * ((customer + product) % 2)
            bought = clicked and draw.random() < 0.2 + 0.5 * (product % 3 == 0)
            row = (customer, product, 5 + product % 7, visit, len(lines), int(clicked), int(bought))
            lines.append(",".join(map(str, row)))
    (folder / "visits.csv").write_text("\n".join(["customer,product,price,visit,when,clicked,bought", *lines]) + "\n")


def keep_small(folder: Path) -> None:
    """Remove what is not to be kept: pictures, TensorBoard's files, locks."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.name == "best.ckpt" or not any(path.match(pattern) for pattern in KEPT):
            path.unlink()


def run(command: list[str]) -> None:
    """Run a command of the command line.

    Raises:
        SystemExit: If it fails.
    """
    if status := main(command):
        sys.exit(f"{command} ended with {status}")


def aside(folder: str, then: Callable[[], None]) -> None:
    """Do something to a folder, and leave it as it was."""
    shutil.copytree(folder, "aside")
    then()
    shutil.rmtree(folder)
    Path("aside").rename(folder)


def make_fit(name: str) -> None:
    """Train a model, and keep what it predicts, and what it predicts after another epoch."""
    run(fit(name, epochs=1))
    run(use("predict", name, f"--predict.output=fits/{name}/predictions.csv"))

    def resumed() -> None:
        run(resume(name))
        run(use("predict", name, "--predict.output=resumed.csv"))

    aside(f"fits/{name}", resumed)
    Path("resumed.csv").rename(f"fits/{name}/resumed.csv")


def make_all() -> None:
    """Make every stored run in the folder of now."""
    write_data(Path("data"))
    for name in FITS:
        make_fit(name)
    run([*SEARCH, "--rounds=2"])
    aside("study", lambda: (run([*SEARCH, "--rounds=3"]), shutil.copy("study/formulas.csv", "three_rounds.csv")))
    Path("three_rounds.csv").rename("study/three_rounds.csv")
    run([*COMPARE, "--seeds=2"])
    run([*POLISH, "--seeds=1"])
    folders = ("data", "fits", "study", "compare", "polish")
    for folder in folders[1:]:
        keep_small(Path(folder))
    with tarfile.open(ARCHIVE, "w:xz") as archive:
        for folder in folders:
            archive.add(folder)


if __name__ == "__main__":
    make_all()
