#include "parameters.h"

#include <cmath>
#include <cstdlib>

#include "layout.h"
#include "refusal.h"

namespace bw {
namespace {

using std::to_string;

std::string place_of(const Op& op) { return op.name + " (" + op_name(op.code) + ")"; }

// So that 32 bits hold the sums.
void check_pixel_weights(const Op& op) {
    const size_t filters = size_t(op.out.shape.c), taps = op.blobs[0].elements / filters;
    for (size_t filter = 0; filter < filters; ++filter) {
        int64_t sum = 0;
        for (size_t i = 0; i < taps; ++i) sum += std::abs(int(op.blobs[0].shorts()[filter * taps + i]));
        if (sum > kMaxPixelWeights) {
            refuse(place_of(op), "filters whose magnitudes add up to at most " + to_string(kMaxPixelWeights),
                   to_string(sum) + " in filter " + to_string(filter));
        }
    }
}

void check_thresholds(const Op& op) {
    const int16_t* thresholds = op.blobs[0].shorts();
    for (size_t i = 0; i < op.blobs[0].elements; ++i) {
        if (thresholds[i] >= (i ? thresholds[i - 1] : 0) && thresholds[i] <= kNoPixel) continue;
        refuse(place_of(op), "ascending thresholds from 0 to " + to_string(kNoPixel),
               to_string(thresholds[i]) + " as number " + to_string(i));
    }
}

void check_finite(const Op& op) {
    const Layout layout = layout_of(op.code);
    for (int i = 0; i < layout.blobs; ++i) {
        if (!op.blobs[i] || layout.dtypes[i] != f32) continue;
        for (size_t k = 0; k < op.blobs[i].elements; ++k) {
            const float value = op.blobs[i].floats()[k];
            if (std::isfinite(value)) continue;
            refuse(place_of(op), "finite parameters",
                   to_string(value) + " at element " + to_string(k) + " of blob " + to_string(i));
        }
    }
}

}  // namespace

void check_parameters(const Op& op) {
    if (op.code == OpCode::pixel_conv) check_pixel_weights(op);
    if (op.code == OpCode::thermometer) check_thresholds(op);
    check_finite(op);
}

}  // namespace bw
