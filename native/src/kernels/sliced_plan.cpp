// Chooses how a binary convolution is computed bit-sliced, and holds what its kernels read.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "lanes_plan.h"
#include "responses_plan.h"
#include "sliced_constants.h"

namespace bw {
namespace {

constexpr int kMostFilters = 6;          // of a four-Russians run
constexpr int kMostPositions = 1 << 19;  // of a filter
constexpr size_t kMostScratch = size_t(1) << 31;
constexpr size_t kFirstCache = 32 * 1024, kSecondCache = 1024 * 1024;

std::string method_name(SlicedMethod method) {
    return method.is_list() ? "sliced-list" : "four-russians-" + std::to_string(method.filters);
}

std::vector<SlicedMethod> methods(bool is_signed) {
    std::vector<SlicedMethod> all = {{1, false}};
    for (int filters = is_signed ? 1 : 2; filters <= (is_signed ? kMostFilters : kMostFilters - 1); filters++) {
        all.push_back({filters, is_signed});
    }
    return all;
}

// Time for all blocks, in units of counting one row of 256 bits with AVX2. Fitted to measurements of usual layers.
double cost_of(const BinaryConvArgs& args, const SlicedWeights& weights, SlicedMethod method,
               const SlicedGeometry& geometry, const SlicedIsa& isa) {
    constexpr double kGatheredRow = 2.4, kClass = 2.9, kAddedPlane = 1.3, kResult = 14, kTail = 40, kTailed = 140, kTotalRow = 2;
    constexpr double kCompared = 30;  // with a threshold that depends on the window sum
    constexpr double kGatedPlane = 8;
    constexpr double kGatheredListRow = 2.2;
    const double positions = weights.positions(), density = weights.density();
    const int filters = std::min(method.filters, weights.filters);
    const int runs = (weights.filters + method.filters - 1) / method.filters * weights.groups;
    const int units = (runs + geometry.pieces - 1) / geometry.pieces;
    // The lists of several pieces are as long as the longest of them: beyond the mean by this many deviations.
    const double excess = 0.5 * std::log2(geometry.pieces);
    // Gathering a register takes as long as its bytes, whatever the adders can do.
    const double gathered = std::max(isa.row, geometry.bytes / 32.0);
    double row = geometry.pieces == 1 ? isa.row : kGatheredRow * gathered;
    double rows = 0, overhead = filters * (args.levels ? kCompared : kResult), totals = 0;
    if (method.is_list()) {
        const double listed = weights.is_signed ? std::min(density, 1 - density) : density;
        rows = listed * positions + 2 + excess * std::sqrt(listed * positions);
        overhead += kClass;
        if (geometry.pieces > 1) row = kGatheredListRow * gathered;
        if (weights.is_signed) totals = weights.groups * positions * kTotalRow;
    } else {
        const int bits = filters - (method.complementing ? 1 : 0), classes = 1 << bits;
        const double counted = method.complementing ? 1 : 1 - std::pow(1 - density, filters);
        const int lists = method.complementing ? 2 * classes : classes;
        const int planes = bit_width(uint64_t(counted * positions / classes * 1.25));
        rows = counted * positions + 1.5 * lists + excess * std::sqrt(counted * positions * lists);
        overhead += lists * kClass + (2 * classes - bits - 2) * planes * kAddedPlane;
    }
    rows = units * rows * row + totals * isa.row;
    if (args.input_planes == 2) {  // both planes are counted
        const double planes = bit_width(uint64_t(positions));
        rows = 2 * rows + units * filters * planes * (args.gate ? kGatedPlane : kAddedPlane);
    }
    // Real numbers go through a tail one vector of them at a time, however wide the planes are.
    const double tailed = args.tail && !args.levels ? filters * (kTail + kTailed * geometry.bytes / 32) : 0;
    return geometry.blocks * (rows + units * (overhead * isa.overhead + tailed));
}

class SlicedConv final : public BinaryConv {
public:
    SlicedConv(const BinaryConvArgs& args, const SlicedIsa& isa, const TapClasses& classes, SlicedGeometry geometry,
               const SlicedWeights& weights, SlicedMethod method)
        : isa_(isa),
          geometry_(std::move(geometry)),
          name_(method_name(method)),
          planes_(args.input_planes),
          groups_(args.groups),
          panels_(wants_panels(args, method)),
          program_(weights, rows(args), method, geometry_.pieces) {
        SlicedConstants constants(args, geometry_, weights, classes);
        if (!args.threshold && planes_ == 1 && !weights.is_signed) constants.width = constants.least_width();
        find_patterns(args, classes);
        store_constants(constants, classes, stored_);
        if (args.gate) store_gates(constants);
        preparation_ = describe_copies(args.window, planes_, panels_);
        describe(args, method, constants);
        const bool compares = args.levels && can_compare(args);
        if (compares) describe_levels({args, geometry_, weights, classes, args.levels}, classes);
    }

    const char* name() const override { return name_.c_str(); }
    const char* preparation() const override { return preparation_.c_str(); }
    size_t scratch_bytes() const override { return size_t(planes_) * plane_scratch_; }
    int prepare_units() const override { return planes_ * plane_units(); }
    int channel_units() const override { return int(program_.units.size()); }
    double prepare_share() const override { return prepare_share_; }
    void prepare(const uint8_t* in, void* scratch, int begin, int end) const override {
        for (int plane = 0; plane < planes_; plane++) {
            const int first = std::max(begin - plane * plane_units(), 0);
            const int last = std::min(end - plane * plane_units(), plane_units());
            uint8_t* to = static_cast<uint8_t*>(scratch) + size_t(plane) * plane_scratch_;
            if (first < last) isa_.prepare(view_, in + size_t(plane) * view_.in_bytes, to, first, last);
        }
    }
    void channels(const void* scratch, void* out, int begin, int end) const override {
        const bool compares = level_view_.levels && knows_sums(*static_cast<const Tail*>(out));
        isa_.channels(compares ? level_view_ : view_, static_cast<const uint8_t*>(scratch), out, begin, end);
    }

    // Bytes of copies and panels, before anything is built.
    static size_t scratch_for(const BinaryConvArgs& args, const SlicedGeometry& geometry) {
        const size_t rows = args.in.c * geometry.taps.size() + 1;
        const size_t panels = size_t(geometry.blocks) * geometry.bytes * (rows + 1);
        return size_t(args.input_planes) * (args.in.c * geometry.channel_bytes + panels + 128);
    }

private:
    int plane_units() const { return (view_.in_channels + view_.prepare_channels - 1) / view_.prepare_channels; }

    bool wants_panels(const BinaryConvArgs& args, SlicedMethod method) const {
        // Measured: worth it where the rows of a block exceed the first-level cache, as long as all fit the second.
        const size_t block_bytes = args.in.c * geometry_.taps.size() * geometry_.bytes;
        return !method.is_list() && geometry_.blocks > 1 && block_bytes > kFirstCache &&
               block_bytes * geometry_.blocks <= kSecondCache;
    }

    size_t copies_bytes(const BinaryConvArgs& args) const { return round_up(args.in.c * geometry_.channel_bytes, 64); }

    // Also where panels, zeros and blocks lie in the scratch.
    SlicedRows rows(const BinaryConvArgs& args) {
        const size_t bytes = size_t(geometry_.bytes), blocks = size_t(geometry_.blocks);
        if (!panels_) {
            plane_scratch_ = round_up(copies_bytes(args) + blocks * bytes, 64);
            block_step_ = bytes;
            return {geometry_.channel_bytes, copies_bytes(args), geometry_.tap_offset};
        }
        const size_t taps = geometry_.taps.size(), count = args.in.c * taps;
        std::vector<uint32_t> offsets;
        for (size_t tap = 0; tap < taps; tap++) offsets.push_back(uint32_t(tap * bytes));
        block_step_ = (count + 1) * bytes;
        plane_scratch_ = round_up(copies_bytes(args) + blocks * block_step_, 64);
        return {taps * bytes, count * bytes, offsets};
    }

    // Blocks whose pixels are not all of the commonest class need constants bit by bit; many blocks share theirs.
    void find_patterns(const BinaryConvArgs& args, const TapClasses& classes) {
        const bool is_uniform = !args.input_signed || classes.count() == 1;
        block_pattern_.assign(geometry_.blocks, -1);
        common_class_ = 0;
        if (is_uniform && geometry_.pieces == 1) return;
        std::vector<int> pixels(classes.count(), 0);
        for (int y = 0; y < args.out.h && !is_uniform; y++) {
            for (int x = 0; x < args.out.w; x++) pixels[classes.of(y, x)]++;
        }
        common_class_ = int(std::max_element(pixels.begin(), pixels.end()) - pixels.begin());
        std::map<std::vector<int>, int> known;
        for (int block = 0; block < geometry_.blocks; block++) {
            std::vector<int> pattern(8 * geometry_.bytes, common_class_);
            for (int bit = 0; bit < 8 * geometry_.bytes && !is_uniform; bit++) {
                const int pixel = geometry_.pixel(args.out, block, bit);
                if (pixel >= 0) pattern[bit] = classes.of(pixel / args.out.w, pixel % args.out.w);
            }
            const auto is_common = [&](int c) { return c == common_class_; };
            if (geometry_.pieces == 1 && std::all_of(pattern.begin(), pattern.end(), is_common)) continue;
            const auto found = known.emplace(pattern, int(patterns_.size()));
            if (found.second) patterns_.push_back(pattern);
            block_pattern_[block] = found.first->second;
        }
    }

    struct Stored {
        std::vector<uint32_t> words;  // by slot, for blocks of the common class
        std::vector<uint8_t> lanes;   // by pattern and slot
    };

    void store_constants(const SlicedConstants& constants, const TapClasses& classes, Stored& stored) const {
        const int pieces = geometry_.pieces, width = constants.width;
        const size_t slots = program_.target.size() / pieces, bytes = size_t(geometry_.bytes);
        if (pieces == 1) {
            for (size_t slot = 0; slot < slots; slot++) {
                const int n = program_.target[slot];
                const uint32_t bits = constants.addend(n, common_class_, program_.meaning[slot], program_.subtract);
                stored.words.push_back(constants.inverter(n, program_.meaning[slot]));
                for (int j = 0; j < width; j++) stored.words.push_back(bits >> j & 1 ? ~0u : 0);
            }
        }
        stored.lanes.assign(patterns_.size() * slots * (width + 1) * bytes, 0);
        std::vector<uint32_t> addend(classes.count());
        uint8_t* to = stored.lanes.data();
        for (const std::vector<int>& pattern : patterns_) {
            std::vector<int> present = pattern;
            std::sort(present.begin(), present.end());
            present.erase(std::unique(present.begin(), present.end()), present.end());
            for (size_t at = 0; at < slots * pieces; at += pieces, to += (width + 1) * bytes) {
                for (int piece = 0; piece < pieces; piece++) {
                    const int n = program_.target[at + piece];
                    if (n < 0) continue;
                    const SlicedProgram::Meaning meaning = program_.meaning[at + piece];
                    const uint8_t invert = uint8_t(constants.inverter(n, meaning));
                    for (int c : present) addend[c] = constants.addend(n, c, meaning, program_.subtract);
                    for (int i = 0; i < geometry_.piece_bytes; i++) {
                        const int byte = piece * geometry_.piece_bytes + i;
                        to[byte] = invert;
                        for (int bit = 8 * byte; bit < 8 * byte + 8; bit++) {
                            const uint32_t bits = addend[pattern[bit]];
                            for (int j = 0; j < width; j++) {
                                to[(j + 1) * bytes + byte] |= uint8_t((bits >> j & 1) << (bit % 8));
                            }
                        }
                    }
                }
            }
        }
    }

    // As words, or for pieces as planes of a block. Those of no filter are shut.
    void store_gates(const SlicedConstants& constants) {
        const int pieces = geometry_.pieces, width = constants.width;
        const size_t slots = program_.target.size() / pieces, bytes = size_t(geometry_.bytes);
        lane_gate_.assign(pieces > 1 ? slots * width * bytes : 0, 0);
        for (size_t at = 0; at < slots * pieces; at++) {
            const uint32_t bits = constants.negated_gate(program_.target[at]);
            for (int j = 0; j < width && pieces == 1; j++) gate_.push_back(bits >> j & 1 ? ~0u : 0);
            uint8_t* lane = lane_gate_.data() + at / pieces * width * bytes + at % pieces * geometry_.piece_bytes;
            for (int j = 0; j < width && pieces > 1; j++, lane += bytes) {
                std::fill_n(lane, geometry_.piece_bytes, uint8_t(bits >> j & 1 ? 0xFF : 0));
            }
        }
    }

    static std::string describe_copies(const Window& window, int planes, bool panels) {
        const std::string strided = window.sh > 1 || window.sw > 1 ? ", thinned out" : "";
        const std::string copies = window.kw == 1 ? " shifted copy" : " shifted copies";
        return std::to_string(window.kw) + copies + (planes > 1 ? " of each plane" : "") + strided +
               (panels ? " -> panels of the rows of a block" : "");
    }

    void describe(const BinaryConvArgs& args, SlicedMethod method, const SlicedConstants& constants) {
        SlicedView& v = view_;
        v.input_planes = planes_;
        v.plane_scratch = plane_scratch_;
        v.gate = gate_.empty() ? nullptr : gate_.data();
        v.lane_gate = lane_gate_.empty() ? nullptr : lane_gate_.data();
        geometry_.describe(args, v);
        const double copied = double(args.in.pixels()) * args.groups;
        prepare_share_ = copied / (copied + double(args.out.elements()) * args.window.kh);
        v.panels = panels_;
        v.blocks = geometry_.blocks;
        v.pieces = geometry_.pieces;
        v.piece_bytes = geometry_.piece_bytes;
        v.block_base = panels_ ? copies_bytes(args) : 0;
        v.block_step = block_step_;
        v.zeros = panels_ ? block_step_ - size_t(geometry_.bytes) : copies_bytes(args);
        v.valid = geometry_.valid.data();
        v.block_pattern = block_pattern_.data();
        v.program = program_.words.data();
        v.unit = program_.units.data();
        v.totals = program_.totals.empty() ? nullptr : program_.totals.data();
        v.target = program_.target.data();
        v.complementing = method.complementing;
        v.subtract = program_.subtract;
        v.counter_planes = program_.counter_planes;
        v.class_planes = program_.class_planes;
        v.total_planes = program_.total_planes;
        v.total_shift = !args.threshold && constants.factor() == 2;
        v.count_shift = v.total_shift + (program_.subtract ? 1 : 0);
        v.width = constants.width;
        v.constant = stored_.words.data();
        v.lane_constant = stored_.lanes.data();
        v.slots = int(program_.target.size()) / geometry_.pieces;
        v.sums = !args.threshold;
        v.tail = args.tail;
        v.one_group = args.groups == 1;
        v.out_stride = args.out.stride();
        v.out_pixels = args.out.pixels();
        v.map_bytes = size_t(args.out.h) * args.out.pitch();
        v.byte_pixel = geometry_.byte_pixel.data();
    }

    // The pieces of a register would have to be of one group.
    bool can_compare(const BinaryConvArgs& args) const { return geometry_.pieces == 1 || args.groups == 1; }

    void describe_levels(const SlicedConstants& constants, const TapClasses& classes) {
        store_constants(constants, classes, stored_levels_);
        SlicedView& v = level_view_;
        v = view_;
        v.levels = constants.levels();
        v.width = constants.width;
        v.count_shift = v.levels->fraction + (constants.factor() == 2 ? 1 : 0);
        v.constant = stored_levels_.words.data();
        v.lane_constant = stored_levels_.lanes.data();
        v.sums = false;
    }

    // Whether all window sums are among those that level_view_ is right for.
    bool knows_sums(const Tail& tail) const {
        const LevelBits& levels = *level_view_.levels;
        if (levels.is_whole) return true;
        const int32_t* sums = static_cast<const int32_t*>(tail.steps[1].source);
        return std::all_of(sums, sums + groups_ * view_.out_pixels, [&](int32_t sum) {
            return levels.lowest <= sum && sum <= levels.highest;
        });
    }

    const SlicedIsa& isa_;
    SlicedGeometry geometry_;
    std::string name_, preparation_;
    double prepare_share_ = 0;
    int planes_, groups_;
    bool panels_;
    size_t block_step_ = 0, plane_scratch_ = 0;
    SlicedProgram program_;
    int common_class_ = 0;
    std::vector<int> block_pattern_;
    std::vector<std::vector<int>> patterns_;  // classes of the bits of a block
    Stored stored_, stored_levels_;
    std::vector<uint32_t> gate_;
    std::vector<uint8_t> lane_gate_;
    SlicedView view_ = {}, level_view_ = {};
};

// A way to compute a convolution, with its estimated cost.
struct Candidate {
    SlicedMethod method;
    const SlicedIsa* isa;
    double cost;
};

// All ways within the kernels' limits, the cheapest first.
std::vector<Candidate> rank(const BinaryConvArgs& args, const TapClasses& classes, const SlicedIsa* isas, int count) {
    std::vector<Candidate> found;
    for (int i = 0; i < count; i++) {
        const SlicedGeometry geometry(args, classes, isas[i].bytes);
        const SlicedWeights weights(args, geometry);
        if (weights.positions() > kMostPositions || SlicedConv::scratch_for(args, geometry) > kMostScratch) continue;
        for (SlicedMethod method : methods(weights.is_signed)) {
            const bool is_plain = method.is_list() && geometry.pieces == 1 && args.input_planes == 1;
            if (isas[i].lists_only && !is_plain) continue;
            found.push_back({method, &isas[i], cost_of(args, weights, method, geometry, isas[i])});
        }
    }
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.cost < b.cost; });
    return found;
}

}  // namespace

std::unique_ptr<BinaryConv> make_sliced(const BinaryConvArgs& args, const char* choice, const SlicedIsa* isas,
                                        int count) {
    const TapClasses classes(args);
    const std::vector<Candidate> candidates = rank(args, classes, isas, count);
    const auto best = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
        return !choice || !*choice || method_name(candidate.method) == choice;
    });
    const double sliced = best != candidates.end() ? best->cost : std::numeric_limits<double>::infinity();
    const bool may_share = !choice || !*choice || std::strcmp(choice, kSharedResponses) == 0;
    const double shared = may_share ? responses_cost(args, isas, count) : std::numeric_limits<double>::infinity();
    std::unique_ptr<BinaryConv> lanes = make_lanes(args, choice, isas, count, std::min(sliced, shared));
    if (lanes) return lanes;
    if (shared < sliced) return make_responses(args, isas, count);
    if (best == candidates.end()) return nullptr;
    const SlicedGeometry geometry(args, classes, best->isa->bytes);
    const SlicedWeights weights(args, geometry);
    return std::make_unique<SlicedConv>(args, *best->isa, classes, geometry, weights, best->method);
}

std::vector<std::string> sliced_names(const BinaryConvArgs& args, const char* first, const SlicedIsa* isas, int count) {
    std::vector<std::pair<double, std::string>> known;
    for (const Candidate& candidate : rank(args, TapClasses(args), isas, count)) {
        known.push_back({candidate.cost, method_name(candidate.method)});
    }
    for (auto& lanes : lanes_costs(args, isas, count)) known.push_back(std::move(lanes));
    const double shared = responses_cost(args, isas, count);
    if (std::isfinite(shared)) known.push_back({shared, kSharedResponses});
    std::stable_sort(known.begin(), known.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string> names;
    if (first) names.push_back(first);
    for (const auto& candidate : known) {
        if (std::find(names.begin(), names.end(), candidate.second) == names.end()) names.push_back(candidate.second);
    }
    return names;
}

}  // namespace bw
