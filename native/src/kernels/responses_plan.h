// Plans binary convolutions by shared responses; see responses.h.
#pragma once
#include "sliced.h"

namespace bw {

constexpr const char* kSharedResponses = "shared-responses";

// What they cost in the unit of make_sliced, or infinity: if no instruction set of these has the kernel, the layer is
// beyond its limits, or has more patterns than that.
double responses_cost(const BinaryConvArgs&, const SlicedIsa* isas, int count);

// For arguments of finite cost.
std::unique_ptr<BinaryConv> make_responses(const BinaryConvArgs&, const SlicedIsa* isas, int count);

}  // namespace bw
