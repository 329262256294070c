"""Published methods, one a file: each function makes the `Method` that `binarize` takes."""

from bitwright.methods.bi_real_net import bi_real_net
from bitwright.methods.ir_net import ir_net
from bitwright.methods.rbonn import rbonn
from bitwright.methods.react_net import react_net
from bitwright.methods.sbnn import sbnn
from bitwright.methods.sd_bnn import sd_bnn
from bitwright.methods.shifted import shifted
from bitwright.methods.si_bnn import si_bnn
from bitwright.methods.xnor_net import xnor_net

__all__ = ["bi_real_net", "ir_net", "rbonn", "react_net", "sbnn", "sd_bnn", "shifted", "si_bnn", "xnor_net"]
