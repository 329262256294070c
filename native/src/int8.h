// Real weights of which each filter lies on a grid of 255 numbers, as one byte each: the twin of
// src/bitwright/format/int8.py.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

size_t int8_bytes(size_t elements, size_t filters);

// Whether every filter of a weight lies on its grid.
bool lies_on_grids(const float* weight, size_t elements, size_t filters);

// Whether scales and integers are those that follow from the weights they stand for.
bool is_sound_int8(const uint8_t* data, size_t elements, size_t filters);

void decode_int8(const uint8_t* data, size_t elements, size_t filters, float* weight);

}  // namespace bw
