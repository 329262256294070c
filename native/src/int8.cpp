#include "int8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace bw {
namespace {

constexpr int kLargest = 127;

float scale_of(float largest) { return largest / float(kLargest); }

bool is_same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

float stored_scale(const uint8_t* data, size_t filter) {
    float scale;
    std::memcpy(&scale, data + 4 * filter, sizeof scale);
    return scale;
}

const int8_t* stored_integers(const uint8_t* data, size_t filters) {
    return reinterpret_cast<const int8_t*>(data + 4 * filters);
}

bool lies_on_grid(const float* weight, size_t taps) {
    float largest = 0;
    for (size_t i = 0; i < taps; ++i) {
        if (!std::isfinite(weight[i])) return false;
        largest = std::max(largest, std::abs(weight[i]));
    }
    const float scale = scale_of(largest);
    return std::all_of(weight, weight + taps, [scale](float w) {
        const int q = scale > 0 ? int(std::rint(w / scale)) : 0;
        return std::abs(q) <= kLargest && is_same(w, scale * float(q));
    });
}

}  // namespace

size_t int8_bytes(size_t elements, size_t filters) { return 4 * filters + elements; }

bool lies_on_grids(const float* weight, size_t elements, size_t filters) {
    const size_t taps = elements / filters;
    for (size_t begin = 0; begin < elements; begin += taps) {
        if (!lies_on_grid(weight + begin, taps)) return false;
    }
    return true;
}

bool is_sound_int8(const uint8_t* data, size_t elements, size_t filters) {
    const size_t taps = elements / filters;
    const int8_t* integers = stored_integers(data, filters);
    for (size_t f = 0; f < filters; ++f, integers += taps) {
        int largest = 0;
        for (size_t i = 0; i < taps; ++i) largest = std::max(largest, std::abs(int(integers[i])));
        const float scale = stored_scale(data, f);
        if (largest > kLargest || (largest > 0) != (scale > 0)) return false;
        if (!is_same(scale, scale_of(std::abs(scale) * float(largest)))) return false;
    }
    return true;
}

void decode_int8(const uint8_t* data, size_t elements, size_t filters, float* weight) {
    const size_t taps = elements / filters;
    const int8_t* integers = stored_integers(data, filters);
    for (size_t f = 0; f < filters; ++f) {
        const float scale = stored_scale(data, f);
        for (size_t i = f * taps; i < (f + 1) * taps; ++i) weight[i] = scale * float(integers[i]);
    }
}

}  // namespace bw
