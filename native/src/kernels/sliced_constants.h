// What is added to a kernel's numbers, so that they become results.
#pragma once
#include "sliced_program.h"

namespace bw {

// The terms of z = factor * u + rest, and the constants that turn the kernel's numbers into results.
class SlicedConstants {
public:
    int width;  // planes that hold every result without overflow

    // With `levels` for bits by these, of weights 0/1, else for integers or a threshold on them.
    SlicedConstants(const BinaryConvArgs&, const SlicedGeometry&, const SlicedWeights&, const TapClasses&,
                    const LevelBits* levels = nullptr);

    // Planes that hold every integer result of one plane of input bits and weights 0/1: only ones count.
    int least_width() const;

    int factor() const { return factor_; }
    const LevelBits* levels() const { return levels_; }

    // All `width` bits of what the kernel adds, for a filter and a class of pixels.
    uint32_t addend(int n, int tap_class, SlicedProgram::Meaning, bool subtract) const;

    // What the result is to be inverted by: bits are the sign of a sum that is negative where u is too small.
    uint32_t inverter(int n, SlicedProgram::Meaning) const;

    // All `width` bits of the gate of a filter, negated; of filter -1 it is always shut.
    uint32_t negated_gate(int n) const;

private:
    int64_t highest(int n) const { return reach_ * int64_t(ones_[n]); }
    int64_t lowest(int n) const { return weights_.is_signed ? highest(n) - reach_ * int64_t(weights_.positions()) : 0; }
    int64_t rest_of(int n, int tap_class) const;

    const BinaryConvArgs& args_;
    const SlicedWeights& weights_;
    const LevelBits* levels_;
    int factor_, reach_;  // reach: the largest code of an input
    std::vector<int> ones_at_, ones_;
    std::vector<bool> inside_;  // (class, tap)
};

}  // namespace bw
