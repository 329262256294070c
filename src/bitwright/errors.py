"""The errors that bitwright raises on purpose, and how their messages are phrased.

A message says where, what was expected, what was found and what to do. Callers' mistakes (a wrong shape, an unknown
keyword) are the built-in `ValueError` and `TypeError`; the classes below are for what only bitwright can know.
"""


class BitwrightError(Exception):
    """Base of every error that is particular to bitwright."""


class LoweringError(BitwrightError):
    """A network cannot become a graph: names the module, says why, and what to change."""


class GraphError(BitwrightError):
    """A graph is not well-formed: names the op, what was expected and what was found."""


class FormatError(BitwrightError):
    """A file is not a bitwright file of a version this library reads, or is damaged."""


class DataError(BitwrightError):
    """A data set is missing or not laid out as its kind demands."""


class RecipeError(BitwrightError):
    """A training recipe has an unknown key, a value of the wrong type or range, or a name that does not exist."""


class RunError(BitwrightError):
    """A run folder is in the way, or does not hold what was asked of it."""
