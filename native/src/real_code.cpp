#include "real_code.h"

#include "int8.h"
#include "two_levels.h"

namespace bw {
namespace {

bool suits(Encoding encoding, const float* weight, size_t elements, size_t filters) {
    if (encoding == two_levels) return has_two_levels(weight, elements, filters);
    return encoding == raw || lies_on_grids(weight, elements, filters);
}

}  // namespace

size_t real_code_bytes(Encoding encoding, size_t elements, size_t filters) {
    if (encoding == two_levels) return two_level_bytes(elements, filters);
    return encoding == int8 ? int8_bytes(elements, filters) : elements * sizeof(float);
}

bool decode_real_weight(Encoding encoding, const uint8_t* data, size_t elements, size_t filters, float* weight) {
    const bool is_levels = encoding == two_levels;
    (is_levels ? decode_two_levels : decode_int8)(data, elements, filters, weight);
    return (is_levels ? is_sound_two_levels : is_sound_int8)(data, elements, filters);
}

bool is_smallest_real_code(Encoding encoding, const float* weight, size_t elements, size_t filters, Encoding newest) {
    const size_t bytes = real_code_bytes(encoding, elements, filters);
    for (const Encoding other : {raw, two_levels, int8}) {
        if (other == encoding || other > newest) continue;
        const size_t others = real_code_bytes(other, elements, filters);
        const bool beats = others < bytes || (others == bytes && other < encoding);
        if (beats && suits(other, weight, elements, filters)) return false;
    }
    return true;
}

}  // namespace bw
