"""A graph in the order that suits the peers: a max-pool before the sign that our lowering moved ahead of it.

Pooling bits is cheap for us and impossible for a peer's binary kernels, and a float network would pool twice.
"""

from dataclasses import replace

import numpy as np

from bitwright.ir import ops

_ZERO = np.float32(1e-30)  # a threshold as small as this is the rounding of 0


def pool_before_sign(graph: ops.Graph) -> ops.Graph:
    """Turn each max-pool of bits into the sign of a max-pool: max(x >= t) = (max(x) >= t).

    Where the same pool of x * scale + shift is there already, with rising scales, it serves the sign too.

    Args:
        graph: The graph.

    Raises:
        ValueError: If a pool takes minima or its sign falls, which the networks of the suite do not have.
    """
    found = {op.name: op for op in graph.ops}
    result: list[ops.Op] = []
    for op in graph.ops:
        sign = found.get(op.inputs[0])
        if not (isinstance(op, ops.MaxPool) and isinstance(sign, ops.Binarize | ops.Threshold)):
            result.append(op)
            continue
        falls = isinstance(sign, ops.Threshold) and sign.flip.any()
        if falls or (op.take_min is not None and op.take_min.any()):
            raise ValueError(f"{op.name} (MaxPool): expected a pool of rising signs")
        shared = _pooled_already(result, found, sign, op.window) if isinstance(sign, ops.Binarize) else None
        if shared is None:
            pool = replace(op, name=f"{op.name}.pool", inputs=sign.inputs)
            result += [pool, replace(sign, name=op.name, inputs=(pool.name,))]
        else:
            result.append(replace(shared, name=op.name))
    used = {name for op in result for name in op.inputs} | {graph.output}
    return replace(graph, ops=tuple(op for op in result if op.name in used))


def _pooled_already(
    before: list[ops.Op], found: dict[str, ops.Op], sign: ops.Binarize, window: ops.Window
) -> ops.Binarize | None:
    """The sign of a pool that stands there for another reader, if there is one of the same values."""
    for pool in before:
        affine = found.get(pool.inputs[0])
        if (
            isinstance(pool, ops.MaxPool)
            and pool.window == window
            and isinstance(affine, ops.Affine)
            and affine.inputs == sign.inputs
            and (affine.scale > 0).all()
        ):
            threshold = sign.threshold * affine.scale + (0 if affine.shift is None else affine.shift)
            threshold = np.where(abs(threshold) < _ZERO, 0, threshold).astype(np.float32)
            return replace(sign, inputs=(pool.name,), threshold=threshold)
    return None
