#include "sliced_constants.h"

#include <algorithm>

namespace bw {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

}  // namespace

SlicedConstants::SlicedConstants(const BinaryConvArgs& args, const SlicedGeometry& geometry,
                                 const SlicedWeights& weights, const TapClasses& classes, const LevelBits* levels)
    : args_(args),
      weights_(weights),
      levels_(levels),
      factor_(args.input_signed ? 2 : 1),
      reach_(args.input_planes == 2 && !args.gate ? 3 : 1),
      ones_at_(size_t(args.out.c) * geometry.taps.size()),
      ones_(args.out.c) {
    int64_t span = 0;
    for (int n = 0; n < args.out.c; n++) {
        for (int k = 0; k < weights.positions(); k++) {
            ones_at_[size_t(n) * weights.taps + k % weights.taps] += weights.filter(n)[k];
        }
        ones_[n] = weights.ones(n);
        span = std::max<int64_t>(span, highest(n) - lowest(n));
    }
    for (int tap_class = 0; tap_class < classes.count(); tap_class++) {
        for (int tap : geometry.taps) {
            inside_.push_back(classes.has(tap_class, tap / args.window.kw, tap % args.window.kw));
        }
    }
    const int64_t most = int64_t(weights.positions()) * (args.input_planes == 2 ? 3 : 1);
    width = bit_width(uint64_t(args.threshold ? span + 1 : most)) + 1;
    width = levels ? levels->planes : std::max(width, 2);
}

int SlicedConstants::least_width() const {
    return std::max(bit_width(uint64_t(*std::max_element(ones_.begin(), ones_.end()))) + 1, 2);
}

uint32_t SlicedConstants::addend(int n, int tap_class, SlicedProgram::Meaning meaning, bool subtract) const {
    const int64_t carry = subtract ? 1 : 0, offset = reach_ * meaning.offset, rest = rest_of(n, tap_class);
    if (levels_) return uint32_t(rest * (int64_t(1) << levels_->fraction) - levels_->threshold[n]);
    if (!args_.threshold) {
        const int64_t constant = factor_ * offset + rest;
        return uint32_t((meaning.sign > 0 ? constant : -constant - 1) + carry);
    }
    int64_t least = ceil_div(args_.threshold[n] - rest, factor_);
    least = std::min(std::max(least, lowest(n)), highest(n) + 1);
    return uint32_t((meaning.sign > 0 ? offset - least : least - offset - 1) + carry);
}

uint32_t SlicedConstants::inverter(int n, SlicedProgram::Meaning meaning) const {
    if (levels_) return levels_->flip[n] ? 0 : ~0u;
    if (!args_.threshold) return meaning.sign > 0 ? 0 : ~0u;
    return (meaning.sign > 0) != (args_.flip && args_.flip[n]) ? ~0u : 0;
}

int64_t SlicedConstants::rest_of(int n, int tap_class) const {
    if (!args_.input_signed) return 0;
    int64_t ones = 0, inside = 0;
    for (int tap = 0; tap < weights_.taps; tap++) {
        if (!inside_[size_t(tap_class) * weights_.taps + tap]) continue;
        ones += ones_at_[size_t(n) * weights_.taps + tap];
        inside += weights_.channels;
    }
    return reach_ * (weights_.is_signed ? inside - 2 * ones : -ones);
}

uint32_t SlicedConstants::negated_gate(int n) const {
    const int64_t most = weights_.positions();
    if (n < 0) return uint32_t(-(most + 1));
    return uint32_t(-std::min(std::max<int64_t>(args_.gate[n], -most), most + 1));
}

}  // namespace bw
