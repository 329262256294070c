"""Which weights matter, asked with labels and without: masks from rotations, masks from labels, and random ones.

    python examples/pruning_without_labels.py --source cifar10:DIR --folder runs/without_labels
    bw report runs/without_labels

A float and a binary network learn rotations, or labels, and are pruned by rounds with rewinding. Each mask is then
tried on labels, from the early weights of its own training and from fresh ones, those of another seed. Beside them
stand the mask from labels with the entries of each layer in random order, and a wholly random mask of as many. The
bodies that learned are judged by a linear classifier too. Every training sees as many images; about 30 minutes of one
core in all. What is done already is not done again, so the script can be stopped.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from bitwright.data import DataSet, load_dataset
from bitwright.train import parse_recipe, resume_run, train
from bitwright.train.probe import probe

ROUNDS, DENSITY = 4, 0.04
TRIED = (2, 4)  # rounds whose masks are tried, at densities of 0.2 and 0.04
JUDGES = 1000  # test images for the rounds, whose own accuracy is not the question
NETWORKS = {
    "float": 'network = {name = "resnet20", width = 8, nonlinearity = "relu"}\nmethod = {name = "none"}',
    "binary": 'network = {name = "resnet20", width = 8}\nmethod = {name = "bi_real_net"}',
}
TASKS = {  # one image makes four rotated ones, so batches and epochs are a quarter
    "rotations": 'pretext = {name = "rotation"}\nbatch = 12\nepochs = 1',
    "labels": "batch = 48\nepochs = 4",
}
SHARED = """
keep = "last"
short = true
optimizer = {name = "adam", lr = 2e-3}
schedule = {name = "cosine", per = "step"}
augmentation = {crop = 4, flip = true}
machine = {threads = 1, channels_last = true}
data = {source = "cifar10:data", samples = 4000, held_out = 500}
"""
CHAIN = """
stages = [
    {name = "early", data = {samples = 2000}, schedule = {name = "constant"}},
    {name = "round", rounds = ROUNDS, pruning = {name = "magnitude", density = DENSITY, fill = "zero"}},
]
"""


def run(name: str, text: str, given: argparse.Namespace, data: DataSet, seed: int) -> Path:
    """Train by a recipe, go on with it, or leave it as it is if it is done; its folder."""
    folder = Path(given.folder) / name
    results = folder / "results.json"
    if results.is_file() and json.loads(results.read_text())["finished"]:
        return folder
    print(f"--- {name}", flush=True)
    overrides = (f"data.source={given.source}", f"seed={seed}")
    if (folder / "recipe.toml").is_file():
        resume_run(folder, data=data)
    else:
        train(parse_recipe(f'title = "{name}"\n{text}', overrides=overrides), folder, data=data)
    return folder


def rounds_of(chain: Path) -> dict[int, Path]:
    """The folders of the rounds, by their number."""
    return {int(path.name.partition("round")[2]): path for path in chain.glob("*-round*")}


def trials(network: str, chains: dict[str, Path], number: int) -> dict[str, str]:
    """Recipes that try the masks of a round on labels, by name."""
    density = DENSITY ** (number / ROUNDS)
    recipes = {}
    for task, chain in chains.items():
        by = f'pruning = {{name = "magnitude", by = "{rounds_of(chain)[number]}", fill = "zero"}}'
        recipes[f"{task}-fresh"] = by
        recipes[f"{task}-early"] = f'{by}\nstart = "{next(chain.glob("*-early"))}"'
    recipes["shuffled-fresh"] = recipes["labels-fresh"].replace("by =", "shuffle = true, by =")
    recipes["random-fresh"] = (
        f'pruning = {{name = "random", scope = "global", density = {density}, fill = "zero", end = 0}}'
    )
    shared = "\n".join([NETWORKS[network], TASKS["labels"]])
    return {f"{network}-{density:.2f}-{name}": f"{shared}\n{own}\n{SHARED}" for name, own in recipes.items()}


def share(folder: Path, file: str, key: str) -> str:
    """A figure of a run, in percent."""
    return f"{json.loads((folder / file).read_text())[key]:.1%}"


def main() -> None:
    """Do all of it, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="cifar10:data", help="KIND:PATH of the data set")
    parser.add_argument("--folder", default="runs/without_labels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    given = parser.parse_args()
    data = load_dataset(given.source)
    few = replace(data, test_images=data.test_images[:JUDGES], test_labels=data.test_labels[:JUDGES])
    rounds = CHAIN.replace("ROUNDS", str(ROUNDS)).replace("DENSITY", str(DENSITY))
    lines = []
    for network in given.networks:
        chains = {
            task: run(
                f"{network}-{task}", "\n".join([NETWORKS[network], settings, rounds, SHARED]), given, few, given.seed
            )
            for task, settings in TASKS.items()
        }
        for task, chain in chains.items():
            for number in (0, *TRIED):
                folder = rounds_of(chain)[number]
                if not (folder / "probe.json").is_file():
                    probe(folder, data=data, samples=5000)
                density = DENSITY ** (number / ROUNDS)
                lines.append(
                    f"{network}, body of {task}, density {density:.2f}: linear {share(folder, 'probe.json', 'linear')}"
                )
        for number in TRIED:
            for name, text in trials(network, chains, number).items():
                folder = run(name, text, given, data, given.seed + 1)
                lines.append(f"{name}: {share(folder, 'results.json', 'accuracy')}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
