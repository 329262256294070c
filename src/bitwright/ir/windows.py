"""Where a window goes: how many outputs it has, and which taps of these lie inside the image."""

from bitwright.ir.ops import Window


def output_size(window: Window, height: int, width: int) -> tuple[int, int]:
    """Rows and columns that a window finds: floor((n + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1 of n."""
    rows, columns = (
        (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for n, kernel, stride, padding, dilation in zip(
            (height, width), window.kernel, window.stride, window.padding, window.dilation, strict=True
        )
    )
    return rows, columns


def outputs_inside(window: Window, axis: int, tap: int, size: int) -> range:
    """Outputs along an axis of `size` pixels for which a tap lies inside the image."""
    stride = window.stride[axis]
    offset = tap * window.dilation[axis] - window.padding[axis]  # output o sees o * stride + offset
    first = max(0, -(offset // stride))
    end = min(output_size(window, size, size)[axis], (size - 1 - offset) // stride + 1)
    return range(first, max(first, end))


def class_starts(window: Window, axis: int, size: int) -> list[int]:
    """First outputs of the classes along an axis: of neighbours, those for which the same taps lie inside the image."""
    inside = [outputs_inside(window, axis, tap, size) for tap in range(window.kernel[axis])]
    changes = {end for found in inside if found for end in (found.start, found.stop)}
    return [0, *sorted(changes - {0, output_size(window, size, size)[axis]})]


def sees_image_everywhere(size: int, outputs: int, window: Window, axis: int) -> bool:
    """Whether every position along an axis has a tap in [0, size); only those that start outside can fail."""
    kernel, stride = window.kernel[axis], window.stride[axis]
    padding, dilation = window.padding[axis], window.dilation[axis]
    for start in range(-padding, min(0, outputs * stride - padding), stride):
        first = -(start // dilation)  # the first tap at 0 or beyond
        if first >= kernel or start + first * dilation >= size:
            return False
    return (outputs - 1) * stride - padding < size
