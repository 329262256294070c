"""Detection: where things are in an image. Names are loaded on first use: boxes are decoded where PyTorch is not."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitwright.detection.boxes import Detections, box_overlaps, decode_boxes, suppress
    from bitwright.detection.losses import assign_cells, detection_loss, focal_loss, overlap_loss
    from bitwright.detection.precision import average_precision, mean_precision
    from bitwright.detection.pyramid import FeaturePyramid, feature_pyramid
    from bitwright.detection.rendering import Scenes, scenes
    from bitwright.detection.single_stage import Detector, detector

_HOME = {
    "Detections": "boxes",
    "Detector": "single_stage",
    "FeaturePyramid": "pyramid",
    "Scenes": "rendering",
    "assign_cells": "losses",
    "average_precision": "precision",
    "box_overlaps": "boxes",
    "decode_boxes": "boxes",
    "detection_loss": "losses",
    "detector": "single_stage",
    "feature_pyramid": "pyramid",
    "focal_loss": "losses",
    "mean_precision": "precision",
    "overlap_loss": "losses",
    "scenes": "rendering",
    "suppress": "boxes",
}

__all__ = [
    "Detections",
    "Detector",
    "FeaturePyramid",
    "Scenes",
    "assign_cells",
    "average_precision",
    "box_overlaps",
    "decode_boxes",
    "detection_loss",
    "detector",
    "feature_pyramid",
    "focal_loss",
    "mean_precision",
    "overlap_loss",
    "scenes",
    "suppress",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bitwright.detection' has no attribute {name!r}")
    return getattr(import_module(f"bitwright.detection.{_HOME[name]}"), name)
