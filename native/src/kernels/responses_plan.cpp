// Finds the patterns of a layer's kernels, and holds what the kernels of shared responses read.
#include "responses_plan.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "sliced_constants.h"

namespace bw {
namespace {

constexpr int kMostChannels = 3072;  // numbers have 16 bits
constexpr int kMostAdded = 51;       // responses of at most 5 in a byte

const SlicedIsa* isa_with_responses(const SlicedIsa* isas, int count) {
    const auto responds = [](const SlicedIsa& isa) { return isa.add_responses != nullptr; };
    const auto found = std::find_if(isas, isas + count, responds);
    return found == isas + count ? nullptr : found;
}

// The distinct kernels of a layer, and which one a filter has for a channel.
struct Patterns {
    std::vector<uint32_t> bits;  // of the taps that matter
    std::vector<uint8_t> index;  // (filter, channel)

    // Without patterns if there are more than the kernel has room for.
    explicit Patterns(const SlicedWeights& weights) {
        std::array<int16_t, 1 << kMostPatternTaps> known;
        known.fill(-1);
        for (int n = 0; n < weights.filters; n++) {
            const uint8_t* kernel = weights.filter(n);
            for (int c = 0; c < weights.channels; c++, kernel += weights.taps) {
                uint32_t pattern = 0;
                for (int tap = 0; tap < weights.taps; tap++) pattern |= uint32_t(kernel[tap]) << tap;
                if (known[pattern] < 0) {
                    if (bits.size() == kMostPatterns) {
                        bits.clear();
                        return;
                    }
                    known[pattern] = int16_t(bits.size());
                    bits.push_back(pattern);
                }
                index.push_back(uint8_t(known[pattern]));
            }
        }
    }
};

// How many channels are added up in the first-level cache, and in how many chunks of them all are.
struct Chunks {
    int channels, count;

    Chunks(int all, size_t patterns) {
        const int room = kResponseTable / kResponseBytes - 1;  // the row of zeros
        const int most = std::min(kMostAdded, room / int(patterns + 1)) / 3 * 3;
        count = (all + most - 1) / most;
        channels = ((all + count - 1) / count + 2) / 3 * 3;
        count = (all + channels - 1) / channels;
    }
    size_t bytes(size_t patterns) const { return (size_t(channels) * (patterns + 1) + 1) * kResponseBytes; }
};

int blocks_of(const BinaryConvArgs& args) { return int(round_up(size_t(args.out.h) * args.out.pitch(), 8) / 8); }

// The pixel, as a bit of a block, of number `at` of its sums; see responses.inc.
int bit_of_number(int at) {
    const int part = at / 16, byte = at % 16 * 2 + part % 2;
    return byte % 8 * 8 + byte / 8 + part / 2 * 4;
}

class ResponsesConv final : public BinaryConv {
public:
    ResponsesConv(const BinaryConvArgs& args, const SlicedIsa& isa)
        : isa_(isa), classes_(args), copied_(args, classes_, isa.bytes), written_(args, classes_, 8) {
        const SlicedWeights weights(args, copied_);
        const Patterns patterns(weights);
        const Chunks chunks(weights.channels, patterns.bits.size());
        describe(args, weights, chunks, patterns.bits.size());
        store_patterns(weights, patterns);
        write_programs(weights, patterns, chunks);
        find_patterns(args);
        store_constants(args, weights, patterns);
        connect();
    }

    const char* name() const override { return kSharedResponses; }
    const char* preparation() const override { return "shifted copies"; }
    size_t scratch_bytes() const override { return size_t(view_.channels) * view_.channel_bytes; }
    int prepare_units() const override {
        return (view_.channels + copies_.prepare_channels - 1) / copies_.prepare_channels;
    }
    int channel_units() const override { return (view_.filters + kResponseFilters - 1) / kResponseFilters; }
    double prepare_share() const override { return prepare_share_; }
    void prepare(const uint8_t* in, void* scratch, int begin, int end) const override {
        isa_.prepare(copies_, in, static_cast<uint8_t*>(scratch), begin, end);
    }
    void channels(const void* scratch, void* out, int begin, int end) const override {
        isa_.add_responses(view_, static_cast<const uint8_t*>(scratch), out, begin, end);
    }

private:
    void describe(const BinaryConvArgs& args, const SlicedWeights& weights, Chunks chunks, size_t patterns) {
        copied_.describe(args, copies_);
        ResponsesView& v = view_;
        v.channels = weights.channels;
        v.filters = weights.filters;
        v.taps = weights.taps;
        v.patterns = int(patterns);
        v.blocks = blocks_of(args);
        v.channel_bytes = copied_.channel_bytes;
        v.weight_signed = weights.is_signed;
        v.chunk = chunks.channels;
        v.factor = args.input_signed ? 2 : 1;
        v.sums = !args.threshold;
        v.tail = args.tail;
        v.out_stride = args.out.stride();
        v.out_pixels = args.out.pixels();
        v.map_bytes = size_t(args.out.h) * args.out.pitch();
        v.out_width = args.out.w;
        prepare_share_ = 1 / (1 + double(args.out.c) / 16);
    }

    void store_patterns(const SlicedWeights& weights, const Patterns& patterns) {
        for (uint32_t bits : patterns.bits) {
            for (int group = 0; group < 3; group++) {
                const uint32_t index = kResponseSubsets * group + (bits >> 3 * group & 7);
                subset_.push_back(uint16_t(index * kResponseBytes));
            }
            surplus_.push_back(0x11111111u * uint32_t(4 - zeros_of(weights, bits) / 2));
        }
    }

    static int zeros_of(const SlicedWeights& weights, uint32_t bits) {
        return weights.taps - __builtin_popcount(bits);
    }

    void write_programs(const SlicedWeights& weights, const Patterns& patterns, Chunks chunks) {
        const size_t entries = patterns.bits.size() + 1;
        const uint16_t zeros = uint16_t(chunks.bytes(patterns.bits.size()) - kResponseBytes);
        const auto append = [&](std::vector<uint16_t>& words, int first, const auto& pattern_of) {
            const int count = std::min(chunks.channels, weights.channels - first);
            for (int i = 0; i < count; i++) {
                words.push_back(uint16_t((size_t(i) * entries + pattern_of(first + i)) * kResponseBytes));
            }
            for (int i = count; i % 3; i++) words.push_back(zeros);
        };
        for (int first = 0; first < weights.channels; first += chunks.channels) {
            for (int n = 0; n < weights.filters; n++) {
                const uint8_t* index = patterns.index.data() + size_t(n) * weights.channels;
                append(program_, first, [&](int c) { return size_t(index[c]); });
            }
            append(shared_program_, first, [&](int) { return entries - 1; });
        }
    }

    // The classes of each block's pixels, in the kernel's order; many blocks have the same.
    void find_patterns(const BinaryConvArgs& args) {
        for (int block = 0; block < view_.blocks; block++) {
            std::vector<int> pattern(64, 0);
            for (int at = 0; at < 64 && args.input_signed; at++) {
                const int pixel = written_.pixel(args.out, block, bit_of_number(at));
                if (pixel >= 0) pattern[at] = classes_.of(pixel / args.out.w, pixel % args.out.w);
            }
            const auto found = std::find(block_patterns_.begin(), block_patterns_.end(), pattern);
            block_pattern_.push_back(int(found - block_patterns_.begin()));
            if (found == block_patterns_.end()) block_patterns_.push_back(pattern);
        }
    }

    void store_constants(const BinaryConvArgs& args, const SlicedWeights& weights, const Patterns& patterns) {
        const SlicedConstants constants(args, copied_, weights, classes_);
        std::vector<std::vector<int16_t>> of_class;  // [filter][class]
        for (int n = 0; n < weights.filters; n++) {
            int offset = 0;
            for (int c = 0; c < weights.channels; c++) {
                const uint32_t bits = patterns.bits[patterns.index[size_t(n) * weights.channels + c]];
                offset -= (weights.is_signed ? 2 : 1) * (zeros_of(weights, bits) / 2);
            }
            of_class.emplace_back();
            for (int c = 0; c < classes_.count(); c++) {
                of_class[n].push_back(int16_t(constants.addend(n, c, {1, offset}, false)));
            }
            invert_.push_back(args.flip && args.flip[n]);
        }
        for (const std::vector<int>& pattern : block_patterns_) {
            for (const std::vector<int16_t>& value : of_class) {
                for (int c : pattern) constant_.push_back(value[c]);
            }
        }
    }

    void connect() {
        view_.tap_offset = copied_.tap_offset.data();
        view_.subset = subset_.data();
        view_.surplus = surplus_.data();
        view_.program = program_.data();
        view_.shared_program = shared_program_.data();
        view_.block_pattern = block_pattern_.data();
        view_.constant = constant_.data();
        view_.invert = invert_.data();
        view_.byte_pixel = written_.byte_pixel.data();
        view_.valid = written_.valid.data();
    }

    const SlicedIsa& isa_;
    TapClasses classes_;
    SlicedGeometry copied_, written_;  // of what is read; of what is written, in blocks of 64 bits
    SlicedView copies_ = {};
    ResponsesView view_ = {};
    double prepare_share_ = 0;
    std::vector<uint32_t> surplus_;
    std::vector<uint8_t> invert_;
    std::vector<uint16_t> subset_, program_, shared_program_;
    std::vector<int> block_pattern_;
    std::vector<std::vector<int>> block_patterns_;
    std::vector<int16_t> constant_;
};

}  // namespace

// Fitted to measurements of maps of 8x8 pixels; kAdded is cautious, since the estimates it is compared with vary.
double responses_cost(const BinaryConvArgs& args, const SlicedIsa* isas, int count) {
    constexpr double kNone = std::numeric_limits<double>::infinity();
    constexpr double kChannel = 24, kPattern = 1.7, kAdded = 0.68, kChunk = 2.6, kResult = 8, kTailed = 48;
    const SlicedIsa* isa = isa_with_responses(isas, count);
    if (!isa || args.groups > 1 || args.input_planes > 1 || args.window_sum || args.in.c > kMostChannels) return kNone;
    const SlicedGeometry geometry(args, TapClasses(args), isa->bytes);
    if (geometry.taps.empty() || geometry.taps.size() > kMostPatternTaps) return kNone;
    const SlicedWeights weights(args, geometry);
    const size_t patterns = Patterns(weights).bits.size();
    if (patterns == 0) return kNone;
    const Chunks chunks(weights.channels, patterns);
    const double responses = weights.channels * (kChannel + kPattern * double(patterns));
    const double added = weights.channels * kAdded + chunks.count * kChunk + (args.tail ? kTailed : kResult);
    return blocks_of(args) * (responses + weights.filters * added);
}

std::unique_ptr<BinaryConv> make_responses(const BinaryConvArgs& args, const SlicedIsa* isas, int count) {
    return std::make_unique<ResponsesConv>(args, *isa_with_responses(isas, count));
}

}  // namespace bw
