"""`bw import`: networks that others trained and published, as run folders of ours."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from bitwright.cli.arguments import Folder, Json
from bitwright.cli.output import need, print_json, print_table


def import_weights(
    name: Annotated[Positional[str | None], arg(metavar="NAME", help_behavior_hint="")] = None,
    file: Annotated[Positional[Path | None], arg(metavar="FILE", help_behavior_hint="")] = None,
    /,
    *,
    run_dir: Folder = None,
    json: Json = False,
) -> None:
    """Take weights that others published into our network; without arguments, list which.

    The folder then holds model.safetensors, which bw export packs, and which a recipe can start from (`start`).

    Example: bw import adabin-resnet20 model_best.th --run-dir runs/adabin

    Args:
        name: Which network.
        file: The authors' file.
        run_dir: The folder to write, new or empty; by default a new one in runs/, named after the network.
        json: Print one JSON object.
    """
    for package in ("torch", "safetensors"):
        need(package, "train", "bw import")
    from bitwright.cli.train import fresh_folder
    from bitwright.train.checkpoints import PUBLISHED, import_checkpoint
    from bitwright.train.config import write_recipe
    from bitwright.train.folder import RECIPE, prepare_folder, write_whole
    from bitwright.train.model_file import MODEL, save_model

    if name is None:
        if json:
            print_json({key: published.about for key, published in PUBLISHED.items()})
        else:
            print_table("published networks", ["", ""], [[k, p.about] for k, p in PUBLISHED.items()], align="ll")
        return
    if file is None:
        raise ValueError(f"expected the file of weights too: bw import {name} FILE")
    model = import_checkpoint(name, file)
    folder = run_dir or fresh_folder(Path("runs"), name)
    prepare_folder(folder, resume=False)
    save_model(model, folder / MODEL)
    write_whole(folder / RECIPE, write_recipe(model.recipe))
    if json:
        print_json({"folder": str(folder), "model": str(folder / MODEL)})
        return
    print(f"{folder / MODEL}: {model.recipe.title}")
    print(f"pack it: bw export {folder}")
