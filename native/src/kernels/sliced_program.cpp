#include "sliced_program.h"

#include <algorithm>

namespace bw {
namespace {

using Offsets = SlicedProgram::Offsets;
using Filters = SlicedProgram::Filters;
using ClassRows = SlicedProgram::ClassRows;

int padded(size_t n) { return int(round_up(n, 4)); }

size_t longest(const std::vector<Offsets>& lists) {
    size_t n = 0;
    for (const Offsets& list : lists) n = std::max(n, list.size());
    return n;
}

// Filters of a group in runs that differ by at most one filter.
std::vector<Filters> runs_of_filters(const SlicedWeights& weights, int most) {
    std::vector<Filters> runs;
    const int count = (weights.filters + most - 1) / most;
    for (int group = 0; group < weights.groups; group++) {
        for (int i = 0; i < count; i++) {
            const int begin = int(int64_t(weights.filters) * i / count);
            const int end = int(int64_t(weights.filters) * (i + 1) / count);
            runs.push_back({group * weights.filters + begin, end - begin, group});
        }
    }
    return runs;
}

// Neighbours get lists of about one length: pieces of a register are padded to the longest of them.
void sort_by_length(const SlicedWeights& weights, std::vector<Filters>& runs) {
    std::vector<int> length;
    for (int n = 0; n < weights.filters * weights.groups; n++) {
        const int ones = weights.ones(n);
        length.push_back(weights.is_signed ? std::min(ones, weights.positions() - ones) : ones);
    }
    std::stable_sort(runs.begin(), runs.end(), [&](const Filters& a, const Filters& b) {
        return a.group != b.group ? a.group < b.group : length[weights.nth(a.first)] < length[weights.nth(b.first)];
    });
}

// A list of a filter with weights -1/+1 may count its zeros instead of its ones.
bool counts_zeros(const SlicedWeights& weights, SlicedMethod method, int filter) {
    return method.is_list() && weights.is_signed && 2 * weights.ones(filter) > weights.positions();
}

// Each position of the run's group into the class that its weights give.
void sort_positions(const SlicedWeights& weights, const SlicedRows& rows, SlicedMethod method, Filters run, int piece,
                    std::vector<ClassRows>& classes) {
    const uint8_t* first = weights.filter(weights.nth(run.first));
    const bool zeros = counts_zeros(weights, method, weights.nth(run.first));
    for (int k = 0; k < weights.positions(); k++) {
        const int channel = run.group * weights.channels + k / weights.taps;
        int index = 0;
        for (int i = 0; i < run.count; i++) index |= weights.filter(weights.nth(run.first + i))[k] << i;
        const bool complemented = method.complementing && first[k];
        if (method.complementing) index = (complemented ? ~index : index) >> 1 & ((1 << (run.count - 1)) - 1);
        if (zeros) index ^= 1;
        if (!method.complementing && index == 0) continue;
        ClassRows& of_index = classes[method.complementing ? index : index - 1];
        (complemented ? of_index.complemented : of_index.plain)[piece].push_back(rows.at(channel, k % weights.taps));
    }
}

// The classes of a unit's runs, one run a piece. Rows are read up and down in turn: what was read last, and may still
// be in the cache, is read first.
std::vector<ClassRows> classes_of(const SlicedWeights& weights, const SlicedRows& rows, SlicedMethod method,
                                  const std::vector<Filters>& unit, int pieces, bool down) {
    int filters = 0;
    for (const Filters& run : unit) filters = std::max(filters, run.count);
    const std::vector<Offsets> none(pieces);
    const size_t count = method.complementing ? size_t(1) << (filters - 1) : (size_t(1) << filters) - 1;
    std::vector<ClassRows> classes(count, ClassRows{none, none});
    for (size_t piece = 0; piece < unit.size(); piece++) {
        sort_positions(weights, rows, method, unit[piece], int(piece), classes);
    }
    for (ClassRows& c : classes) {
        for (Offsets& list : c.plain) {
            if (down || method.complementing) std::reverse(list.begin(), list.end());
        }
        down = !down;
    }
    return classes;
}

void append_rows(std::vector<uint32_t>& words, const std::vector<Offsets>& lists, uint32_t zeros) {
    const int count = padded(longest(lists));
    for (int i = 0; i < count; i++) {
        for (const Offsets& list : lists) words.push_back(i < int(list.size()) ? list[i] : zeros);
    }
}

void append_class(std::vector<uint32_t>& words, const ClassRows& rows, SlicedMethod method, int counter_planes,
                  uint32_t zeros) {
    if (method.complementing) words.push_back(uint32_t(padded(longest(rows.complemented))));
    words.push_back(uint32_t(padded(longest(rows.plain))));
    const uint32_t start = (uint32_t(1) << counter_planes) - 1 - uint32_t(padded(longest(rows.complemented)));
    for (int j = 0; method.complementing && j < counter_planes; j++) words.push_back(start >> j & 1 ? ~0u : 0);
    append_rows(words, rows.complemented, zeros);
    append_rows(words, rows.plain, zeros);
}

// The kernels exist for these numbers of planes.
int counter_planes_for(int planes) {
    for (int n : {4, 6, 8, 12}) {
        if (planes <= n) return n;
    }
    return 20;
}

}  // namespace

int bit_width(uint64_t n) { return n > 1 ? 64 - __builtin_clzll(n) : 1; }

SlicedWeights::SlicedWeights(const BinaryConvArgs& args, const SlicedGeometry& geometry)
    : filters(args.out.c / args.groups),
      groups(args.groups),
      channels(args.in.c / args.groups),
      taps(int(geometry.taps.size())),
      is_signed(args.weight_signed && !args.window_sum) {
    for (int n = 0; args.gate && n < args.out.c; n++) order_.push_back(n);
    std::stable_sort(order_.begin(), order_.end(), [&](int a, int b) {
        return a / filters != b / filters ? a < b : args.gate[a] < args.gate[b];
    });
    const size_t window = size_t(args.window.kh) * args.window.kw;
    if (!args.window_sum && size_t(taps) == window) {
        bits_ = args.weight;
        return;
    }
    copy_.reserve(size_t(args.out.c) * positions());
    for (int n = 0; n < args.out.c; n++) {
        for (int c = 0; c < channels; c++) {
            for (int tap : geometry.taps) {
                copy_.push_back(args.window_sum || args.weight[(size_t(n) * channels + c) * window + tap]);
            }
        }
    }
    bits_ = copy_.data();
}

int SlicedWeights::ones(int n) const {
    return int(std::count(filter(n), filter(n) + positions(), uint8_t(1)));
}

double SlicedWeights::density() const {
    const size_t count = size_t(filters) * groups * positions();
    return count ? double(std::count(bits_, bits_ + count, uint8_t(1))) / double(count) : 0;
}

SlicedProgram::SlicedProgram(const SlicedWeights& weights, const SlicedRows& rows, SlicedMethod method, int pieces)
    : subtract(weights.is_signed) {
    const bool needs_totals = weights.is_signed && !method.complementing;
    std::vector<Filters> runs = runs_of_filters(weights, method.filters);
    if (method.is_list() && !weights.is_ordered()) sort_by_length(weights, runs);

    // One unit takes as many runs as a register has pieces; those that share a total must be of one group.
    std::vector<std::vector<Filters>> parts;
    for (const Filters& run : runs) {
        const bool fits = !parts.empty() && parts.back().size() < size_t(pieces) &&
                          (!needs_totals || run.group == parts.back()[0].group);
        if (!fits) parts.emplace_back();
        parts.back().push_back(run);
    }

    // The lengths of all lists come first, and the lists then once more: to keep them would take as much memory again.
    const auto classes = [&](size_t u) { return classes_of(weights, rows, method, parts[u], pieces, u % 2); };
    int most = 0;
    size_t lists = 0, listed = 0;
    for (size_t u = 0; u < parts.size(); u++) {
        const std::vector<ClassRows> of_unit = classes(u);
        add_unit(weights, method, parts[u], of_unit, pieces);
        for (const ClassRows& c : of_unit) {
            most = std::max(most, padded(longest(c.complemented)) + int(longest(c.plain)));
            listed += size_t(padded(longest(c.complemented)) + padded(longest(c.plain)));
            lists++;
        }
    }
    class_planes = bit_width(uint64_t(most));
    counter_planes = counter_planes_for(class_planes);
    const uint32_t zeros = uint32_t(rows.zeros);
    const size_t heads = lists * (method.complementing ? 2 + counter_planes : 1);
    const size_t summed = needs_totals ? weights.groups * (1 + size_t(padded(weights.positions())) * pieces) : 0;
    words.reserve(heads + listed * pieces + summed);  // most of a network's memory
    for (size_t u = 0; u < parts.size(); u++) {
        units[u].program = uint32_t(words.size());
        for (const ClassRows& c : classes(u)) append_class(words, c, method, counter_planes, zeros);
    }

    total_planes = counter_planes_for(std::max(8, bit_width(uint64_t(weights.positions()))));
    for (int group = 0; needs_totals && group < weights.groups; group++) {
        Offsets all;
        for (int k = 0; k < weights.positions(); k++) {
            all.push_back(rows.at(group * weights.channels + k / weights.taps, k % weights.taps));
        }
        totals.push_back(uint32_t(words.size()));
        words.push_back(uint32_t(padded(all.size())));
        append_rows(words, std::vector<Offsets>(pieces, all), zeros);
    }
}

// The unit's slots, and what their numbers say. With N rows counted complemented in all, and N' of these in classes
// where filter i differs from the first, the kernel's v is 2P - S + 2N' - N.
void SlicedProgram::add_unit(const SlicedWeights& weights, SlicedMethod method, const std::vector<Filters>& unit,
                             const std::vector<ClassRows>& classes, int pieces) {
    int filters = 0, complemented = 0;
    for (const Filters& run : unit) filters = std::max(filters, run.count);
    for (const ClassRows& c : classes) complemented += padded(longest(c.complemented));
    units.push_back({0, filters, int(target.size()) / pieces, unit[0].group});
    for (int i = 0; i < filters; i++) {
        int differing = 0;
        for (size_t c = 0; c < classes.size() && i > 0; c++) {
            if (c >> (i - 1) & 1) differing += padded(longest(classes[c].complemented));
        }
        for (int piece = 0; piece < pieces; piece++) {
            const bool is_used = piece < int(unit.size()) && i < unit[piece].count;
            const int n = is_used ? weights.nth(unit[piece].first + i) : -1;
            const bool zeros = is_used && counts_zeros(weights, method, n);
            target.push_back(n);
            meaning.push_back({zeros ? -1 : 1, method.complementing ? complemented - 2 * differing : 0});
        }
    }
}

}  // namespace bw
