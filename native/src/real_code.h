// The encodings of the weights of a real layer, and which of them its file has: the twin of
// src/bitwright/format/real_code.py.
#pragma once
#include <cstddef>
#include <cstdint>

#include "layout.h"

namespace bw {

// Whether an encoding is one of real weights, filter by filter.
constexpr bool is_by_filters(uint32_t encoding) { return encoding == two_levels || encoding == int8; }

// Bytes of raw weights, or of an encoding by filters.
size_t real_code_bytes(Encoding encoding, size_t elements, size_t filters);

// Fills in weights of an encoding by filters; whether the bytes are those that a writer makes of them.
bool decode_real_weight(Encoding encoding, const uint8_t* data, size_t elements, size_t filters, float* weight);

// Whether no other encoding of the weights up to the newest takes fewer bytes than this one, nor an earlier one as many.
bool is_smallest_real_code(Encoding encoding, const float* weight, size_t elements, size_t filters, Encoding newest);

}  // namespace bw
