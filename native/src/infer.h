// The types of all tensors, and the checks that need them: the twin of src/bitwright/ir/output_types.py.
#pragma once
#include "model.h"

namespace bw {

// Limits of src/bitwright/ir/limits.py.
constexpr int kMaxOps = 4096, kMaxInputs = 4, kMaxDim = 1 << 24, kMaxElements = 1 << 28, kMaxWindow = 255;
constexpr int kMaxTaps = 1 << 24, kMaxFraction = 24, kMaxClasses = 256, kMaxText = 1 << 20, kMaxMeta = 256;
constexpr int kMaxPixelWeights = 2147483647 / 255, kNoPixel = 256;

// Fills in `out` of every op. Throws FormatError: which op, what was expected, what was found.
void infer(Model& model);

}  // namespace bw
