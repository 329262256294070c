"""From a trained module to a graph and a file."""

from bitwright.lower.pipeline import ExportReport, export, lower

__all__ = ["ExportReport", "export", "lower"]
