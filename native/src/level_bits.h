// A LevelSum and what follows it up to a Binarize, as one comparison of integers.
//
// Of sums of weights {low, low + step}, the tail step * acc + low * window_sum is monotone in the accumulator: for each
// channel and window sum there is a least accumulator that turns the bit over. But for rounding that is
// ceil(tau - r * window_sum) with r = low / step, the same for all channels of a layer. Then
//
//     acc >= tau - r * window_sum,    and with integers floor(r * window_sum) and floor(tau),
//     acc + floor(r * window_sum) + (fraction of r * window_sum >= fraction of tau) > floor(tau),
//
// where fractions matter by their order only: a few bits hold it. What depends on the pixel is one number for all
// channels, LevelBits::term. The float32 operations round, which moves single accumulators; so the least ones are found
// by evaluating these operations, for every window sum, and a tau is taken that agrees with all of them.
#pragma once
#include <vector>

#include "kernels/kernels.h"
#include "model.h"

namespace bw {

// A LevelBits with the memory that it points into.
struct LevelTables {
    LevelBits bits;
    std::vector<int32_t> term, threshold;
    std::vector<uint8_t> flip;
};

// The tail of a binary convolution: a LevelSum, some Affines, a Binarize. False if it has other ops, or if no such
// comparison is right for the usual window sums.
bool find_level_bits(const BinaryConvArgs& conv, const std::vector<const Op*>& tail, LevelTables& found);

}  // namespace bw
