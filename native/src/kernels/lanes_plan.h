// Plans binary convolutions whose output channels lie in the lanes; see lanes.h.
#pragma once
#include <utility>

#include "sliced.h"

namespace bw {

// The best of them if it costs less than `limit`, in the unit of make_sliced; null if none does, or none can do it.
// `choice` forces one by name, as for make_sliced.
std::unique_ptr<BinaryConv> make_lanes(const BinaryConvArgs&, const char* choice, const SlicedIsa* isas, int count,
                                       double limit);

// Cost and name of every way that is worth trying for these arguments.
std::vector<std::pair<double, std::string>> lanes_costs(const BinaryConvArgs&, const SlicedIsa* isas, int count);

}  // namespace bw
