#include "two_levels.h"

#include <cstring>

namespace bw {
namespace {

int32_t pattern(const void* from, size_t i) {
    int32_t value;
    std::memcpy(&value, static_cast<const uint8_t*>(from) + 4 * i, sizeof value);
    return value;
}

bool bit(const uint8_t* bits, size_t i) { return bits[i / 8] >> (i % 8) & 1; }

}  // namespace

size_t two_level_bytes(size_t elements, size_t filters) { return 8 * filters + (elements + 7) / 8; }

bool has_two_levels(const float* weight, size_t elements, size_t filters) {
    const size_t taps = elements / filters;
    for (size_t begin = 0; begin < elements; begin += taps) {
        const int32_t first = pattern(weight, begin);
        int32_t other = first;
        for (size_t i = begin; i < begin + taps; ++i) {
            const int32_t value = pattern(weight, i);
            if (value == first || value == other) continue;
            if (other != first) return false;
            other = value;
        }
    }
    return true;
}

bool is_sound_two_levels(const uint8_t* data, size_t elements, size_t filters) {
    const size_t taps = elements / filters;
    const uint8_t* bits = data + 8 * filters;
    for (size_t f = 0; f < filters; ++f) {
        size_t ones = 0;
        for (size_t i = f * taps; i < (f + 1) * taps; ++i) ones += bit(bits, i);
        const int32_t low = pattern(data, f), high = pattern(data, filters + f);
        const bool both = ones > 0 && ones < taps;
        if (both ? low >= high : low != high || ones > 0) return false;
    }
    return true;
}

void decode_two_levels(const uint8_t* data, size_t elements, size_t filters, float* weight) {
    const size_t taps = elements / filters;
    const uint8_t* bits = data + 8 * filters;
    for (size_t f = 0; f < filters; ++f) {
        const int32_t level[2] = {pattern(data, f), pattern(data, filters + f)};
        for (size_t i = f * taps; i < (f + 1) * taps; ++i) std::memcpy(weight + i, &level[bit(bits, i)], 4);
    }
}

}  // namespace bw
