// Plans binary convolutions whose output channels lie in the lanes; see lanes.h.
#pragma once
#include "sliced.h"

namespace bw {

// The best of them if it costs less than `limit`, in the unit of make_sliced; null if none does, or none can do it.
// `choice` forces one by name, as for make_sliced.
std::unique_ptr<BinaryConv> make_lanes(const BinaryConvArgs&, const char* choice, const SlicedIsa* isas, int count,
                                       double limit);

// The names that make_lanes takes as a choice, where maps are small enough for them to be worth a trial.
std::vector<std::string> lanes_names(const BinaryConvArgs&, const SlicedIsa* isas, int count);

}  // namespace bw
