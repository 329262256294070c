// Bits as the distances between the rare ones: the twin of src/bitwright/format/gaps.py.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

// Fills a bitmap that holds zeros, and says how many of the bytes that takes: 0 of bytes that are not the encoding of
// any bits. What follows them is not looked at.
size_t decode_gaps(const uint8_t* data, size_t bytes, size_t elements, uint8_t* bitmap);

// How many bytes the encoding of a bitmap has; SIZE_MAX where it has none, or, perhaps, one of more than `most`.
size_t gap_bytes(const uint8_t* bitmap, size_t elements, size_t most);

}  // namespace bw
