"""Training by recipes: a TOML file names data, network, method and settings; Lightning runs the loop."""

from bitwright.train.config import DEMO, Recipe, parse_recipe, read_recipe, write_recipe
from bitwright.train.model_file import TrainedModel, load_model
from bitwright.train.run import RunResult, predict
from bitwright.train.stages import resume_run, train

__all__ = [
    "DEMO",
    "Recipe",
    "RunResult",
    "TrainedModel",
    "load_model",
    "parse_recipe",
    "predict",
    "read_recipe",
    "resume_run",
    "train",
    "write_recipe",
]
