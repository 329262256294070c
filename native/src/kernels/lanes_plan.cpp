// Chooses runs of pixels for a binary convolution with output channels in the lanes, and holds what its kernels read.
#include "lanes_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../memory.h"
#include "lanes.h"
#include "sliced_constants.h"

namespace bw {
namespace {

constexpr size_t kMostResults = size_t(1) << 31;  // bytes
constexpr size_t kFewPixels = 1024;                // more of them fill registers by themselves: not worth a thought

// How the output is cut into runs: `rows` rows of at most `columns` pixels.
struct RunShape {
    int columns, rows, across, down;  // runs of a map, across and down

    RunShape(const Shape& out, int most) {
        across = (out.w + most - 1) / most;
        columns = (out.w + across - 1) / across;
        rows = across > 1 ? 1 : std::min(out.h, most / columns);
        down = (out.h + rows - 1) / rows;
    }
    int pixels() const { return columns * rows; }
    int runs() const { return across * down; }

    // The input row that each row of a run reads at a kernel row, or -1; empty if all lie outside the image.
    std::vector<int> rows_read(const BinaryConvArgs& args, int run, int ky) const {
        std::vector<int> read;
        for (int y = run * rows; y < (run + 1) * rows; y++) {
            const int from = y * args.window.sh + ky * args.window.dh - args.window.ph;
            read.push_back(y < args.out.h && from >= 0 && from < args.in.h ? from : -1);
        }
        if (*std::max_element(read.begin(), read.end()) < 0) read.clear();
        return read;
    }

    bool has_windows(const Window& w) const {
        return w.sw <= 2 && (columns - 1) * w.sw + (w.kw - 1) * w.dw + 1 <= 16 * w.sw;
    }
};

std::string lanes_name(int most) { return "channel-lanes-" + std::to_string(most); }

// Time for all runs, in the unit of make_sliced. Fitted to measurements, half of the activations being one.
double lanes_cost(const BinaryConvArgs& args, RunShape shape, const SlicedIsa& isa) {
    constexpr double kSorted = 4.5, kSortedAlone = 30, kMerged = 16.5, kCounted = 1.5, kAddedPlane = 1.5, kResult = 130;
    constexpr double kTailed = 200;  // of 256 pixels
    const int filters = args.out.c / args.groups, blocks = (filters + 8 * isa.bytes - 1) / (8 * isa.bytes);
    const double row_positions = double(args.in.c) / args.groups * args.window.kw;
    const double lists = double(1 << (shape.pixels() - 1));
    std::set<std::vector<int>> sources;
    double read = 0;  // sources, once for each run
    for (int run = 0; run < shape.down; run++) {
        for (int ky = 0; ky < args.window.kh; ky++) {
            const std::vector<int> rows = shape.rows_read(args, run, ky);
            if (rows.empty()) continue;
            sources.insert(rows);
            read += shape.across;
        }
    }
    const double sorted = double(sources.size()) * shape.across * row_positions;
    const double added = read * row_positions + 1.5 * lists * shape.runs();
    const int planes = bit_width(uint64_t(row_positions * args.window.kh / lists * 1.25));
    const double counting = added + shape.runs() * (lists * planes * kAddedPlane + shape.pixels() * kResult);
    const double tailed = args.tail ? kTailed * double(args.out.elements()) / 256 : 0;
    return tailed + args.groups * (sorted * (shape.has_windows(args.window) ? kSorted : kSortedAlone) +
                          read * lists * kMerged + blocks * counting * kCounted * isa.row);
}

class LanesConv final : public BinaryConv {
public:
    LanesConv(const BinaryConvArgs& args, const SlicedIsa& isa, int most)
        : isa_(isa), name_(lanes_name(most)), shape_(args.out, most) {
        const TapClasses classes(args);
        SlicedGeometry geometry(args, classes, isa.bytes);
        const SlicedWeights weights(args, geometry);
        const SlicedConstants constants(args, geometry, weights, classes);
        byte_pixel_ = std::move(geometry.byte_pixel);
        valid_ = std::move(geometry.valid);
        describe(args, constants);
        add_runs(args, classes);
        pack_weights(args);
        store_constants(args, constants);
        view_.source = sources_.data();
        view_.sources = int(sources_.size());
        view_.run = runs_.data();
        view_.runs = int(runs_.size());
        view_.weight = weight_.get();
        view_.constant = constant_.data();
        view_.byte_pixel = byte_pixel_.data();
        view_.valid = valid_.data();
    }

    const char* name() const override { return name_.c_str(); }
    const char* preparation() const override { return "counts, output channels in the lanes"; }
    size_t scratch_bytes() const override { return results_for(view_.groups * view_.blocks); }
    int prepare_units() const override { return view_.groups * view_.runs * view_.strips; }
    int channel_units() const override { return view_.groups * view_.blocks; }
    double prepare_share() const override { return 0.95; }
    void prepare(const uint8_t* in, void* scratch, int begin, int end) const override {
        isa_.lanes_prepare(view_, in, static_cast<uint8_t*>(scratch), begin, end);
    }
    void channels(const void* scratch, void* out, int begin, int end) const override {
        isa_.lanes_channels(view_, static_cast<const uint8_t*>(scratch), out, begin, end);
    }

private:
    struct Context {  // of an output pixel
        int tap_class;
        uint32_t kernel_rows;  // bits: those that its run reads
    };

    size_t results_for(int blocks) const { return size_t(blocks) * view_.out_pixels * view_.result_bytes; }

    void describe(const BinaryConvArgs& args, const SlicedConstants& constants) {
        LanesView& v = view_;
        const Window& w = args.window;
        v.groups = args.groups;
        v.channels = args.in.c / args.groups;
        v.filters = args.out.c / args.groups;
        v.in_width = args.in.w;
        v.in_pitch = args.in.pitch();
        v.in_stride = args.in.stride();
        v.in_bytes = args.in.bit_bytes();
        v.kernel_rows = w.kh;
        v.columns = w.kw;
        v.column_step = w.sw;
        v.column_dilation = w.dw;
        v.windows = shape_.has_windows(w);
        v.blocks = (v.filters + 8 * isa_.bytes - 1) / (8 * isa_.bytes);
        const int most_beside = std::max(1, 64 / isa_.bytes);
        v.strips = (v.blocks + most_beside - 1) / most_beside;
        v.beside = (v.blocks + v.strips - 1) / v.strips;
        v.row_bytes = uint32_t(v.beside * isa_.bytes);
        v.strip_bytes = round_up((2 * size_t(v.channels) * w.kh * w.kw + 1) * v.row_bytes, 64);
        v.sums = !args.threshold;
        v.tail = args.tail;
        v.add_ones = !args.weight_signed;
        v.doubled = v.sums && args.weight_signed && args.input_signed;
        v.halved = v.sums && !args.weight_signed && !args.input_signed;
        v.width = constants.width + (args.weight_signed ? 0 : 1);
        v.sum_planes = bit_width(uint64_t(v.channels) * w.kh * w.kw);
        v.out_height = args.out.h;
        v.out_width = args.out.w;
        v.out_pitch = args.out.pitch();
        v.out_stride = args.out.stride();
        v.out_pixels = args.out.pixels();
        v.map_bytes = args.out.h * args.out.pitch();
        v.result_bytes = size_t(isa_.bytes) * (v.sums ? 16 : 1);
    }

    // Runs one above the other follow each other, since they share sources. Constants depend on the taps inside the
    // image of a pixel, and on the kernel rows that its run reads.
    void add_runs(const BinaryConvArgs& args, const TapClasses& classes) {
        const Window& w = args.window;
        std::map<std::pair<int, std::vector<int>>, int> known;
        for (int across = 0; across < shape_.across; across++) {
            const int left = args.out.w * across / shape_.across;
            const int columns = args.out.w * (across + 1) / shape_.across - left;
            for (int down = 0; down < shape_.down; down++) {
                LanesRun run = {};
                const int top = down * shape_.rows;
                run.pixels = columns * shape_.rows;
                uint32_t kernel_rows = 0;
                for (int ky = 0; ky < w.kh; ky++) {
                    const std::vector<int> rows = shape_.rows_read(args, down, ky);
                    run.source[ky] = -1;
                    if (rows.empty()) continue;
                    const auto found = known.emplace(std::make_pair(across, rows), int(sources_.size()));
                    if (found.second) {
                        LanesSource source = {columns, shape_.rows, left * w.sw - w.pw, {}};
                        std::copy(rows.begin(), rows.end(), source.row);
                        sources_.push_back(source);
                    }
                    run.source[ky] = found.first->second;
                    kernel_rows |= 1u << ky;
                }
                for (int i = 0; i < run.pixels; i++) {
                    const int y = top + i / columns, x = left + i % columns;
                    run.pixel[i] = -1;
                    if (y >= args.out.h) continue;
                    run.pixel[i] = y * args.out.w + x;
                    const Context context = {args.input_signed ? classes.of(y, x) : 0, kernel_rows};
                    const auto same = [&](const Context& c) {
                        return c.tap_class == context.tap_class && c.kernel_rows == context.kernel_rows;
                    };
                    const auto found = std::find_if(contexts_.begin(), contexts_.end(), same);
                    run.constants[i] = int(found - contexts_.begin());
                    if (found == contexts_.end()) contexts_.push_back(context);
                }
                runs_.push_back(run);
            }
        }
    }

    void pack_weights(const BinaryConvArgs& args) {
        const Window& w = args.window;
        const int lanes = 8 * int(view_.row_bytes), taps = w.kh * w.kw;
        const size_t bytes = size_t(args.groups) * view_.strips * view_.strip_bytes;
        weight_ = allocate(bytes);
        std::memset(weight_.get(), 0, bytes);
        ones_.assign(size_t(args.out.c) * w.kh, 0);
        for (int n = 0; n < args.out.c; n++) {
            const int group = n / view_.filters, lane = n % view_.filters;
            uint8_t* strip = weight_.get() + (size_t(group) * view_.strips + lane / lanes) * view_.strip_bytes;
            strip += lane % lanes / 8;
            for (int c = 0; c < view_.channels; c++) {
                const uint8_t* bits = args.weight + (size_t(n) * view_.channels + c) * taps;
                for (int tap = 0; tap < taps; tap++) {
                    const size_t row = 2 * (size_t(tap) * view_.channels + c) + (bits[tap] ? 0 : 1);
                    strip[row * view_.row_bytes] |= uint8_t(1 << lane % 8);
                    ones_[size_t(n) * w.kh + tap / w.kw] += bits[tap];
                }
            }
        }
    }

    // All bits of what the kernel adds to 2P - S - B, or to 2P - B; see lanes.h.
    uint32_t addend(const BinaryConvArgs& args, const SlicedConstants& constants, int n, const Context& context) const {
        int ones = 0;
        for (int ky = 0; ky < args.window.kh; ky++) {
            if (context.kernel_rows >> ky & 1) ones += ones_[size_t(n) * args.window.kh + ky];
        }
        if (args.weight_signed) return constants.addend(n, context.tap_class, {1, ones}, true);
        const uint32_t rest = constants.addend(n, context.tap_class, {1, 0}, false);
        return (args.threshold ? 2 * rest : rest) + uint32_t(ones) + 1;
    }

    void store_constants(const BinaryConvArgs& args, const SlicedConstants& constants) {
        const int bytes = isa_.bytes, lanes = 8 * bytes;
        const size_t stride = size_t(view_.width + 1) * bytes, blocks = size_t(args.groups) * view_.blocks;
        constant_.assign(contexts_.size() * blocks * stride, 0);
        for (size_t context = 0; context < contexts_.size(); context++) {
            for (int n = 0; n < args.out.c; n++) {
                const int group = n / view_.filters, lane = n % view_.filters % lanes;
                const size_t block = size_t(group) * view_.blocks + n % view_.filters / lanes;
                uint8_t* to = constant_.data() + (context * blocks + block) * stride + lane / 8;
                const uint8_t bit = uint8_t(1 << lane % 8);
                const uint32_t bits = addend(args, constants, n, contexts_[context]);
                if (constants.inverter(n, {1, 0})) *to |= bit;
                for (int j = 0; j < view_.width; j++) {
                    if (bits >> j & 1) to[size_t(j + 1) * bytes] |= bit;
                }
            }
        }
    }

    const SlicedIsa& isa_;
    std::string name_;
    RunShape shape_;
    std::vector<LanesSource> sources_;
    std::vector<LanesRun> runs_;
    std::vector<Context> contexts_;
    std::vector<int> ones_;  // by filter and kernel row
    Bytes weight_;           // aligned: rows that straddle lines of the cache cost half as much again
    std::vector<uint8_t> constant_, valid_;
    std::vector<int> byte_pixel_;
    LanesView view_ = {};
};

// Whether there are such kernels, and their lists and results stay within bounds.
bool can_run(const BinaryConvArgs& args, const SlicedIsa& isa) {
    const Window& w = args.window;
    const int64_t positions = int64_t(args.in.c / args.groups) * w.kh * w.kw;
    if (args.input_planes > 1) return false;
    if (isa.lists_only || args.window_sum || w.kh > kMostLaneKernelRows || positions > kMostLanePositions) return false;
    const size_t channels = args.groups * round_up(size_t(args.out.c / args.groups), 8 * size_t(isa.bytes));
    return channels * 2 * args.out.pixels() <= kMostResults;
}

}  // namespace

std::vector<std::pair<double, std::string>> lanes_costs(const BinaryConvArgs& args, const SlicedIsa* isas, int count) {
    std::vector<std::pair<double, std::string>> costs;
    if (args.out.pixels() > kFewPixels) return costs;
    for (int i = 0; i < count; i++) {
        if (!can_run(args, isas[i])) continue;
        for (int most = 1; most <= kMostLanePixels; most++) {
            costs.push_back({lanes_cost(args, RunShape(args.out, most), isas[i]), lanes_name(most)});
        }
    }
    return costs;
}

std::unique_ptr<BinaryConv> make_lanes(const BinaryConvArgs& args, const char* choice, const SlicedIsa* isas,
                                       int count, double limit) {
    const bool is_forced = choice && *choice;
    if (!is_forced && args.out.pixels() > kFewPixels) return nullptr;
    const SlicedIsa* best_isa = nullptr;
    int best = 0;
    for (int i = 0; i < count; i++) {
        if (!can_run(args, isas[i])) continue;
        for (int most = 1; most <= kMostLanePixels; most++) {
            if (is_forced && lanes_name(most) != choice) continue;
            const double cost = lanes_cost(args, RunShape(args.out, most), isas[i]);
            if (cost >= limit) continue;
            best_isa = &isas[i];
            best = most;
            limit = cost;
        }
    }
    if (!best_isa) return nullptr;
    return std::make_unique<LanesConv>(args, *best_isa, best);
}

}  // namespace bw
