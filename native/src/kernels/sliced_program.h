// Programs of a bit-sliced convolution: which rows are counted together, and what the counts say about a filter.
#pragma once
#include <vector>

#include "sliced_geometry.h"

namespace bw {

// How filters share work. One filter at a time, as a list of its ones (or zeros, if these are fewer); or four-Russians:
// `filters` of them split the positions into classes of equal weights, each of which is counted once.
struct SlicedMethod {
    int filters;
    bool complementing;  // weights -1/+1: classes by equality with the first filter's weight; half as many

    bool is_list() const { return filters == 1 && !complementing; }
};

// The weights, by the taps that matter.
struct SlicedWeights {
    int filters, groups, channels, taps;  // channels and filters: of a group
    bool is_signed;

    SlicedWeights(const BinaryConvArgs&, const SlicedGeometry&);
    SlicedWeights(const SlicedWeights&) = delete;
    int positions() const { return channels * taps; }
    const uint8_t* filter(int n) const { return bits_ + size_t(n) * positions(); }
    // The filter at a place of the order in which they are taken: as they stand, or in each group by their gates, so
    // that those that are shut together are counted together.
    int nth(int place) const { return order_.empty() ? place : order_[place]; }
    bool is_ordered() const { return !order_.empty(); }
    int ones(int n) const;
    double density() const;

private:
    std::vector<int> order_;     // empty: as they stand
    std::vector<uint8_t> copy_;  // if some taps do not matter
    const uint8_t* bits_;        // (filter of all groups, channel, tap)
};

// Where the rows of bits lie, from the start of a block.
struct SlicedRows {
    size_t channel_step, zeros;
    std::vector<uint32_t> tap_offset;

    uint32_t at(int channel, int tap) const { return uint32_t(channel * channel_step + tap_offset[tap]); }
};

struct SlicedProgram {
    using Offsets = std::vector<uint32_t>;
    struct Filters {  // of a group, at consecutive places
        int first, count, group;
    };
    struct ClassRows {  // of a class of positions, once for each piece of a register
        std::vector<Offsets> complemented, plain;
    };

    // What the kernel's number v (count, less the total if it is subtracted) says: u = sign * v + offset.
    struct Meaning {
        int sign, offset;
    };

    std::vector<uint32_t> words;
    std::vector<uint32_t> totals;  // by group, the word where the program of the total begins; empty: not needed
    std::vector<SlicedUnit> units;
    std::vector<int> target;
    std::vector<Meaning> meaning;  // as target
    bool subtract;
    int counter_planes, class_planes, total_planes;

    SlicedProgram(const SlicedWeights&, const SlicedRows&, SlicedMethod, int pieces);

private:
    void add_unit(const SlicedWeights&, SlicedMethod, const std::vector<Filters>&, const std::vector<ClassRows>&,
                  int pieces);
};

// Bits of a number, at least 1.
int bit_width(uint64_t n);

}  // namespace bw
