"""Published methods, one a file: each function makes the `Method` that `binarize` takes."""

from bitwright.methods.ada_bin import ada_bin
from bitwright.methods.bi_real_net import bi_real_net
from bitwright.methods.binary_connect import binary_connect
from bitwright.methods.bnn import bnn
from bitwright.methods.dorefa import dorefa
from bitwright.methods.elastic_link import elastic_link
from bitwright.methods.ftbnn import ftbnn
from bitwright.methods.noisy_supervision import noisy_supervision
from bitwright.methods.react_net import react_net
from bitwright.methods.real_to_binary import real_to_binary
from bitwright.methods.recu import recu
from bitwright.methods.sbnn import sbnn
from bitwright.methods.xnor_net import xnor_net

__all__ = [
    "ada_bin",
    "bi_real_net",
    "binary_connect",
    "bnn",
    "dorefa",
    "elastic_link",
    "ftbnn",
    "noisy_supervision",
    "react_net",
    "real_to_binary",
    "recu",
    "sbnn",
    "xnor_net",
]
