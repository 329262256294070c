"""Published methods, one a file: each function makes the `Method` that `binarize` takes.

Those of `ON_TRAINED` make none: they take a network that is trained already.
"""

from bitwright.methods.ada_bin import ada_bin
from bitwright.methods.bi_real_net import bi_real_net
from bitwright.methods.binary_connect import binary_connect
from bitwright.methods.bnn import bnn
from bitwright.methods.dgrl import dgrl
from bitwright.methods.dorefa import dorefa
from bitwright.methods.elastic_link import elastic_link
from bitwright.methods.frac_bnn import frac_bnn
from bitwright.methods.ftbnn import ftbnn
from bitwright.methods.ir_net import ir_net
from bitwright.methods.nas_bnn import nas_bnn
from bitwright.methods.noisy_supervision import noisy_supervision
from bitwright.methods.rbnn import rbnn
from bitwright.methods.rbonn import rbonn
from bitwright.methods.react_net import react_net
from bitwright.methods.real_to_binary import real_to_binary
from bitwright.methods.recu import recu
from bitwright.methods.sbnn import sbnn
from bitwright.methods.sbnn_v1 import sbnn_v1
from bitwright.methods.sd_bnn import sd_bnn
from bitwright.methods.shifted import shifted
from bitwright.methods.si_bnn import si_bnn
from bitwright.methods.stf_bnn import stf_bnn as stf_bnn
from bitwright.methods.subbit import subbit
from bitwright.methods.xnor_net import xnor_net

__all__ = [
    "ada_bin",
    "bi_real_net",
    "binary_connect",
    "bnn",
    "dgrl",
    "dorefa",
    "elastic_link",
    "frac_bnn",
    "ftbnn",
    "ir_net",
    "nas_bnn",
    "noisy_supervision",
    "rbnn",
    "rbonn",
    "react_net",
    "real_to_binary",
    "recu",
    "sbnn",
    "sbnn_v1",
    "sd_bnn",
    "shifted",
    "si_bnn",
    "subbit",
    "xnor_net",
]

ON_TRAINED = ("stf_bnn",)
