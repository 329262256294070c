"""Data sets of labelled uint8 images, read with NumPy and Pillow alone, and named `KIND:PATH` everywhere."""

from bitwright.data.digits import load_digits
from bitwright.data.sets import KINDS, SPLITS, DataSet, load_dataset, save_npz

__all__ = ["KINDS", "SPLITS", "DataSet", "load_dataset", "load_digits", "save_npz"]
