// The rules that the numbers of an op's parameters keep.
#pragma once
#include "model.h"

namespace bw {

// Refuses numbers that are not finite, sums of pixels that 32 bits cannot hold, and thresholds that do not ascend.
void check_parameters(const Op& op);

}  // namespace bw
