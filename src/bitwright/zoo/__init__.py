"""Networks of the literature: ordinary float networks, each naming the layers that stay real in `real_layers`.

A network whose first layer is binary says in `input_binarizers` how that layer reads its input.
"""

from bitwright.zoo.alexnet import alexnet
from bitwright.zoo.bottleneck import resnet50
from bitwright.zoo.frac_bnn import frac_bnn_mobilenet, frac_bnn_resnet20
from bitwright.zoo.nas_bnn import nas_bnn
from bitwright.zoo.reactnet import reactnet18, reactnet_a
from bitwright.zoo.resnet import resnet18, resnet20, resnet34
from bitwright.zoo.vgg import bnn_vgg, vgg_small

__all__ = [
    "alexnet",
    "bnn_vgg",
    "frac_bnn_mobilenet",
    "frac_bnn_resnet20",
    "nas_bnn",
    "reactnet18",
    "reactnet_a",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "vgg_small",
]
