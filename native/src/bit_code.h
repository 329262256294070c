// The encodings of the bits of a binary weight, and which of them its file has: the twin of
// src/bitwright/format/bit_code.py.
#pragma once
#include <cstddef>
#include <cstdint>

#include "layout.h"

namespace bw {

// The fewest bytes that an encoding other than raw may take.
size_t least_code_bytes(size_t elements);

// Fills a bitmap that holds zeros; whether the bytes are the encoding of any bits. Of a convolution, `taps` is the
// height times the width of a kernel; else 1.
bool decode_bits(Encoding encoding, const uint8_t* data, size_t bytes, size_t elements, int taps, uint8_t* bitmap);

// Whether no other encoding of the bitmap up to the newest takes fewer bytes than this one, nor an earlier one as many.
bool is_smallest_code(Encoding encoding, size_t bytes, const uint8_t* bitmap, size_t elements, int taps,
                      Encoding newest);

}  // namespace bw
