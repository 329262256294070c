"""Networks of the literature: ordinary float networks, each naming the layers that stay real in `real_layers`."""

from bitwright.zoo.resnet import resnet18, resnet20
from bitwright.zoo.vgg import vgg_small

__all__ = ["resnet18", "resnet20", "vgg_small"]
