#include "level_bits.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bw {
namespace {

constexpr int64_t kMostInputs = 1 << 15;  // of a filter: the table has up to twice as many entries
constexpr int kMostPlanes = 26;           // of the comparison
constexpr double kLeastGap = 0x1p-18;      // between what a tau must exceed and what it must not
constexpr double kGrain = 0x1p-22;        // a tau is a multiple of this, so that float64 holds its fraction exactly
constexpr double kMostRatio = 1024;
constexpr float kMostFactor = 1e9f;       // of an op: its results stay finite
constexpr size_t kMostOps = 4;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The real ops of one channel, in the order of the interpreter.
class ChannelTail {
public:
    ChannelTail(const std::vector<const Op*>& tail, int channel) : tail_(tail), channel_(channel) {
        falls_ = value(0, 0) < 0;
        for (size_t i = 1; i + 1 < tail.size(); ++i) falls_ = falls_ != (value(i, 0) < 0);
    }

    bool falls() const { return falls_; }

    bool is_moderate() const {
        bool is_moderate = true;
        for (size_t i = 0; i + 1 < tail_.size(); ++i) {
            for (int blob = 0; blob < 3; ++blob) {
                is_moderate = is_moderate && (!tail_[i]->blobs[blob] || std::abs(value(i, blob)) < kMostFactor);
            }
        }
        return is_moderate;
    }

    // Whether the bit of an accumulator is that of the largest ones.
    bool reaches(int64_t acc, int64_t window_sum) const {
        float v = value(0, 0) * float(acc) + value(0, 1) * float(window_sum);
        if (tail_[0]->blobs[2]) v += value(0, 2);
        for (size_t i = 1; i + 1 < tail_.size(); ++i) {
            v *= value(i, 0);
            if (tail_[i]->blobs[1]) v += value(i, 1);
        }
        return (v >= value(tail_.size() - 1, 0)) != falls_;
    }

    // The least accumulator in [least, most] that does, most + 1 if none; `guess` may be anything.
    int64_t first(int64_t least, int64_t most, int64_t window_sum, int64_t guess) const {
        guess = std::min(std::max(guess, least), most + 1);
        int64_t fails = least - 1, passes = most + 1;
        for (int64_t step = 1; fails + 1 < passes; step *= 2) {
            if (guess <= fails || guess >= passes) guess = fails + (passes - fails) / 2;
            if (reaches(guess, window_sum)) {
                passes = guess;
                guess -= step;
            } else {
                fails = guess;
                guess += step;
            }
        }
        return passes;
    }

private:
    float value(size_t op, int blob) const { return tail_[op]->blobs[blob].floats()[channel_]; }

    const std::vector<const Op*>& tail_;
    int channel_;
    bool falls_;
};

// The accumulators of a filter, and what is known of its tau: above < tau <= most.
struct Filter {
    int64_t least_acc, most_acc;
    double above = -kInfinity, most = kInfinity;

    // What tau may be, with a margin.
    double low() const { return (above == -kInfinity ? most - 1 : above) + kLeastGap / 4; }
    double high() const { return (most == kInfinity ? above + 1 : most) - kLeastGap / 4; }
};

// Learns from the window sums 0, stride, -stride, ... up to `most`; returns the last one that agreed with those before.
int64_t learn(const ChannelTail& tail, double ratio, int64_t stride, int64_t most, bool is_signed, Filter& filter) {
    const auto see = [&](Filter& known, int64_t sum, int64_t guess) {
        const int64_t first = tail.first(known.least_acc, known.most_acc, sum, guess);
        const double moved = ratio * double(sum);
        if (first > known.least_acc) known.above = std::max(known.above, double(first - 1) + moved);
        if (first <= known.most_acc) known.most = std::min(known.most, double(first) + moved);
        return first;
    };
    // Whether all further sums say less than the last one: their bit is the same for all accumulators.
    const auto is_settled = [&](int64_t first, double direction) {
        return direction == 0 || (direction > 0 ? first <= filter.least_acc : first > filter.most_acc);
    };
    const double directions[] = {ratio, -ratio};
    int64_t first[2];
    bool done[2];
    first[0] = first[1] = see(filter, 0, 0);
    for (int side = 0; side < 2; ++side) done[side] = is_settled(first[side], directions[side]);
    done[1] = done[1] || !is_signed;
    for (int64_t size = stride; size <= most && !(done[0] && done[1]); size += stride) {
        Filter next = filter;
        for (int side = 0; side < 2; ++side) {
            if (done[side]) continue;
            const int64_t guess = first[side] - int64_t(std::lround(directions[side] * double(stride)));
            first[side] = see(next, side ? -size : size, guess);
            done[side] = is_settled(first[side], directions[side]);
        }
        if (next.most - next.above < kLeastGap) return size - stride;
        filter = next;
    }
    return most;
}

// One tau for each filter, of as few different fractions as may be: a point is taken for all intervals that it meets.
std::vector<double> choose(const std::vector<Filter>& filters, std::vector<double>& fractions) {
    struct Interval {
        double low, high, whole;
        size_t filter;
    };
    std::vector<Interval> intervals;
    for (size_t n = 0; n < filters.size(); ++n) {
        const double whole = std::floor(filters[n].low());
        intervals.push_back({filters[n].low() - whole, filters[n].high() - whole, whole, n});
    }
    std::sort(intervals.begin(), intervals.end(), [](const auto& a, const auto& b) { return a.high < b.high; });
    std::vector<double> tau(filters.size());
    double point = -1;
    for (const Interval& interval : intervals) {
        if (point < interval.low) point = std::floor(interval.high / kGrain) * kGrain;
        tau[interval.filter] = interval.whole + point;
        fractions.push_back(point - std::floor(point));
    }
    std::sort(fractions.begin(), fractions.end());
    fractions.erase(std::unique(fractions.begin(), fractions.end()), fractions.end());
    return tau;
}

int bits_of(int64_t n) {
    int bits = 1;
    while (n >> bits) ++bits;
    return bits;
}

}  // namespace

bool find_level_bits(const BinaryConvArgs& conv, const std::vector<const Op*>& tail, LevelTables& found) {
    const int channels = conv.in.c / conv.groups, taps = conv.window.kh * conv.window.kw;
    const int64_t most = int64_t(channels) * taps;
    if (conv.weight_signed || conv.input_planes != 1 || conv.gate || most > kMostInputs) return false;
    if (tail.size() < 2 || tail.size() > kMostOps) return false;
    for (size_t i = 0; i < tail.size(); ++i) {
        const OpCode wanted = i == 0 ? OpCode::level_sum : i + 1 == tail.size() ? OpCode::binarize : OpCode::affine;
        if (tail[i]->code != wanted) return false;
    }
    const float *step = tail[0]->blobs[0].floats(), *low = tail[0]->blobs[1].floats();
    const double ratio = double(low[0]) / double(step[0]);
    if (!(std::abs(ratio) < kMostRatio)) return false;

    std::vector<Filter> filters;
    // signed inputs in pairs of channels: all window sums are even
    const int64_t stride = conv.input_signed && channels % 2 == 0 ? 2 : 1;
    int64_t reach = most;
    for (int n = 0; n < conv.out.c; ++n) {
        const ChannelTail of(tail, n);
        if (low[n] != low[0] || step[n] != step[0] || !of.is_moderate()) return false;
        const uint8_t* weight = conv.weight + size_t(n) * size_t(most);
        const int64_t ones = std::count(weight, weight + most, uint8_t(1));
        filters.push_back({conv.input_signed ? -ones : 0, ones});
        reach = std::min(reach, learn(of, ratio, stride, most, conv.input_signed, filters.back()));
        found.flip.push_back(of.falls());
    }
    if (reach < 16 * std::sqrt(double(most)) && reach < most) return false;

    std::vector<double> fractions;
    const std::vector<double> tau = choose(filters, fractions);
    LevelBits& bits = found.bits;
    bits.fraction = bits_of(int64_t(fractions.size()));
    const int64_t one = int64_t(1) << bits.fraction;
    const auto rank = [&](double fraction) {
        return int64_t(std::upper_bound(fractions.begin(), fractions.end(), fraction) - fractions.begin());
    };
    // beyond these terms the bits of all channels are settled
    int64_t none = std::numeric_limits<int64_t>::max(), all = std::numeric_limits<int64_t>::min();
    std::vector<int64_t> thresholds;
    for (size_t n = 0; n < filters.size(); ++n) {
        const double whole = std::floor(tau[n]);
        thresholds.push_back(int64_t(whole) * one + rank(tau[n] - whole));
        none = std::min(none, thresholds[n] - filters[n].most_acc * one - 1);
        all = std::max(all, thresholds[n] - filters[n].least_acc * one);
    }
    int64_t largest = 0;
    for (size_t n = 0; n < filters.size(); ++n) {
        largest = std::max(largest, filters[n].most_acc * one + all - thresholds[n]);
        largest = std::max(largest, thresholds[n] - filters[n].least_acc * one - none);
        if (std::abs(thresholds[n]) > std::numeric_limits<int32_t>::max()) return false;
        found.threshold.push_back(int32_t(thresholds[n]));
    }
    bits.planes = bits_of(largest) + 1;
    if (bits.planes > kMostPlanes) return false;
    bits.lowest = conv.input_signed ? int32_t(-reach) : 0;
    bits.highest = int32_t(reach);
    bits.is_whole = reach == most;
    for (int64_t sum = bits.lowest; sum <= bits.highest; ++sum) {
        const double moved = ratio * double(sum), whole = std::floor(moved);
        const int64_t term = int64_t(whole) * one + rank(moved - whole);
        found.term.push_back(int32_t(std::min(std::max(term, none), all)));
    }
    bits.term = found.term.data();
    bits.threshold = found.threshold.data();
    bits.flip = found.flip.data();
    return true;
}

}  // namespace bw
