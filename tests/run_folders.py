"""Made-up run folders: two layers, of which the second learns, and an accuracy that grows by five points an epoch."""

import json
import re
from pathlib import Path

METHOD = {"name": "sbnn", "sparsity": 0.95}


def toml(values: dict) -> str:
    return "".join(f"{key} = {spell(value)}\n" for key, value in values.items())


def spell(value: object) -> str:
    match value:
        case dict():
            return f"{{{', '.join(f'{key} = {spell(content)}' for key, content in value.items())}}}"
        case list():
            return f"[{', '.join(map(spell, value))}]"
        case _:
            return json.dumps(value)


def write_run(
    folder: Path,
    *,
    seed: int = 0,
    epochs: int = 2,
    accuracy: float = 0.5,
    method: dict | None = None,
    source: str = "cifar10:data",
    results: dict | None = None,
    **recipe,
) -> Path:
    folder.mkdir(parents=True)
    settings = {
        "title": folder.name, "seed": seed, "epochs": epochs, **recipe,
        "data": {"source": source}, "network": {"name": "resnet20", "width": 8}, "method": method or METHOD,
    }  # fmt: skip
    (folder / "recipe.toml").write_text(toml(settings))
    found = {"accuracy": accuracy, "epochs": epochs, "seconds": 60.0 + seed, "seed": seed, "density": 0.25}
    (folder / "results.json").write_text(json.dumps({**found, **(results or {})}))
    shares = [accuracy - 0.05 * (epochs - 1 - epoch) for epoch in range(epochs)]
    rows = [f"{epoch},{share:g},{share + 0.1:g}" for epoch, share in enumerate(shares)]
    (folder / "metrics.csv").write_text("\n".join(["epoch,accuracy,train_accuracy", *rows]) + "\n")
    rows = [
        f"{epoch},{layer},0.25,{'nan' if epoch == 0 else 0.5 / epoch},{'nan' if epoch == 0 else 0.9},0.5,{mismatch}"
        for epoch in range(epochs)
        for layer, mismatch in (("blocks.0.conv", 0.125), ("blocks.1.conv", 0.375))
    ]
    (folder / "layers.csv").write_text("\n".join(["epoch,layer,density,flips,dead,balance,mismatch", *rows]) + "\n")
    return folder


def own_text(path: Path) -> str:
    """A page without the library that draws its pictures."""
    text = path.read_text(encoding="utf-8")
    return text.replace(max(re.findall(r"<script>.*?</script>", text, re.DOTALL), key=len), "")
