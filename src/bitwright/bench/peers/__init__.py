"""The peers, one a file. Each imports its library only when it is built, so that any of them may be missing."""

from bitwright.bench.peer import Peer
from bitwright.bench.peers import lce, onnx_runtime, openvino_cpu, pytorch

PEERS: dict[str, Peer] = {peer.name: peer for peer in (pytorch.PEER, onnx_runtime.PEER, openvino_cpu.PEER, lce.PEER)}
