"""Every network of the zoo at a small size, for images of one channel and four classes; and the sides of the images."""

from bitwright import zoo

NETWORKS = {
    "alexnet": lambda: zoo.alexnet(4, 1, width=6, hidden=16, size=63),
    "bnn_vgg": lambda: zoo.bnn_vgg(4, 1, width=6, hidden=16, size=16),
    "frac_bnn_mobilenet": lambda: zoo.frac_bnn_mobilenet(4, 1, width=4),
    "frac_bnn_resnet20": lambda: zoo.frac_bnn_resnet20(4, 1, width=4),
    "nas_bnn": lambda: zoo.nas_bnn(4, 1, arch="4 4 8k5g2s2 8k3g4 12g2s2"),
    "reactnet18": lambda: zoo.reactnet18(4, 1, width=4),
    "reactnet_a": lambda: zoo.reactnet_a(4, 1, width=4),
    "resnet18": lambda: zoo.resnet18(4, 1, width=4),
    "resnet20": lambda: zoo.resnet20(4, 1, width=4),
    "resnet34": lambda: zoo.resnet34(4, 1, width=4),
    "resnet50": lambda: zoo.resnet50(4, 1, width=4),
    "vgg_small": lambda: zoo.vgg_small(4, 1, width=6, size=16),
}
SIDES = (
    dict.fromkeys(NETWORKS, 32) | {"alexnet": 63} | dict.fromkeys(["bnn_vgg", "vgg_small", "resnet18", "resnet20"], 16)
)
SIDES |= {"frac_bnn_resnet20": 16, "nas_bnn": 16}
