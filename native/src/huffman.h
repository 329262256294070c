// Bits as kernels in a Huffman code: the twin of src/bitwright/format/huffman.py.
#pragma once
#include "kernel_set.h"

namespace bw {

// Fills a bitmap, and says how many of the bytes that takes: 0 of bytes that are not the encoding of any bits. What
// follows them is not looked at.
size_t decode_huffman(const uint8_t* data, size_t bytes, size_t elements, int taps, uint8_t* bitmap);

// How many bytes the encoding of these kernels has; SIZE_MAX where it has none, or, perhaps, one of more than `most`.
size_t huffman_bytes(const KernelCounts& all, size_t most);

}  // namespace bw
