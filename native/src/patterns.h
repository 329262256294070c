// Bits as kernels of which few differ: the twin of src/bitwright/format/patterns.py.
#pragma once
#include "kernel_set.h"

namespace bw {

// Fills a bitmap, and says how many of the bytes that takes: 0 of bytes that are not the encoding of any bits. What
// follows them is not looked at.
size_t decode_patterns(const uint8_t* data, size_t bytes, size_t elements, int taps, uint8_t* bitmap);

// How many bytes the encoding of these kernels has.
size_t pattern_bytes(const KernelCounts& all);

}  // namespace bw
