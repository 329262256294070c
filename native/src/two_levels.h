// Real weights of which each filter holds at most two values, as one bit each: the twin of
// src/bitwright/format/two_levels.py.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

size_t two_level_bytes(size_t elements, size_t filters);

// Whether each filter of a weight holds one or two values.
bool has_two_levels(const float* weight, size_t elements, size_t filters);

// Whether the lower level of each filter comes first, and its bits use both or are zeros.
bool is_sound_two_levels(const uint8_t* data, size_t elements, size_t filters);

void decode_two_levels(const uint8_t* data, size_t elements, size_t filters, float* weight);

}  // namespace bw
