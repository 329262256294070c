"""Training by recipes: a TOML file names data, network, method and settings; Lightning runs the loop."""

from bitwright.train.config import DEMO, Recipe, parse_recipe, read_recipe, write_recipe
from bitwright.train.model_file import TrainedModel, load_model
from bitwright.train.run import RunResult, predict
from bitwright.train.search import SearchResult, resume_search, run_search
from bitwright.train.search_recipe import SearchRecipe, is_search, parse_search, read_search
from bitwright.train.stages import resume_run, train

__all__ = [
    "DEMO",
    "Recipe",
    "RunResult",
    "SearchRecipe",
    "SearchResult",
    "TrainedModel",
    "is_search",
    "load_model",
    "parse_recipe",
    "parse_search",
    "predict",
    "read_recipe",
    "read_search",
    "resume_run",
    "resume_search",
    "run_search",
    "train",
    "write_recipe",
]
