#include "tune.h"

#include <algorithm>

#include "memory.h"
#include "model.h"

namespace bw {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kMostTime{3};         // of a model
constexpr Seconds kMostRounds{0.025};   // of a layer, after the first runs
constexpr size_t kMostEntrants = 8;     // those that the estimate prefers
constexpr int kFirstRuns = 3, kRounds = 200;
constexpr double kHopeless = 1.3;       // a first time, relative to the best one, that is not measured again
constexpr double kTie = 1.03;

// What a convolution reads and writes.
class Stage {
public:
    explicit Stage(const BinaryConvArgs& args)
        : in_(allocate(size_t(args.input_planes) * args.in.bit_bytes())),
          out_(allocate(std::max(args.out.bit_bytes(), 4 * args.out.elements()))),
          ones_(size_t(args.out.c), 1.0f),
          has_tail_(args.tail) {
        std::memset(in_.get(), 0, size_t(args.input_planes) * args.in.bit_bytes());
        uint32_t noise = 1;
        for (int c = 0; c < args.in.c * args.input_planes; ++c) {
            for (int y = 0; y < args.in.h; ++y) {
                uint8_t* row = in_.get() + c * args.in.stride() + size_t(y) * args.in.pitch();
                for (int x = 0; x < args.in.w; ++x) {
                    noise = noise * 1664525 + 1013904223;
                    row[x / 8] |= uint8_t(noise >> 31 << (x % 8));
                }
            }
        }
        steps_[0].op = Step::load_sum;
        steps_[1].op = Step::affine;
        steps_[1].a = ones_.data();
        steps_[2].op = Step::store;
        steps_[2].target = out_.get();
        if (!args.levels) return;
        sums_.assign(size_t(args.groups) * args.out.pixels(), 0);
        steps_[1].op = Step::level_sum;
        steps_[1].b = ones_.data();
        steps_[1].source = sums_.data();
        steps_[1].channels_per_group = args.out.c / args.groups;
        steps_[2].op = Step::binarize;
        steps_[2].a = ones_.data();
    }

    double time(const BinaryConv& conv) {
        if (scratch_bytes_ < conv.scratch_bytes()) {
            scratch_bytes_ = conv.scratch_bytes();
            scratch_ = allocate(scratch_bytes_);
        }
        const Tail tail{steps_, 3};
        void* out = out_.get();
        if (has_tail_) out = const_cast<Tail*>(&tail);  // read only
        const Clock::time_point start = Clock::now();
        conv.prepare(in_.get(), scratch_.get(), 0, conv.prepare_units());
        conv.channels(scratch_.get(), out, 0, conv.channel_units());
        return Seconds(Clock::now() - start).count();
    }

private:
    Bytes in_, out_, scratch_;
    size_t scratch_bytes_ = 0;
    std::vector<float> ones_;
    std::vector<int32_t> sums_;
    Step steps_[3] = {};
    bool has_tail_;
};

struct Entrant {
    std::unique_ptr<BinaryConv> conv;
    double least;
};

std::unique_ptr<BinaryConv> race(const Kernels& kernels, const BinaryConvArgs& args,
                                 const std::vector<std::string>& names) {
    Stage stage(args);
    std::vector<Entrant> entrants;
    double best = 0;
    for (const std::string& name : names) {
        Entrant entrant{kernels.binary_conv(args, name.c_str()), 0};
        for (int run = 0; run < kFirstRuns; ++run) {
            const double time = stage.time(*entrant.conv);
            entrant.least = run ? std::min(entrant.least, time) : time;
        }
        best = entrants.empty() ? entrant.least : std::min(best, entrant.least);
        entrants.push_back(std::move(entrant));
        // Those without hope go at once, for the sake of memory; the first, which the estimate prefers, stays: a busy
        // machine may have held it up.
        const auto is_hopeless = [&](const Entrant& e) { return e.least > kHopeless * best; };
        entrants.erase(std::remove_if(entrants.begin() + 1, entrants.end(), is_hopeless), entrants.end());
    }
    const Clock::time_point start = Clock::now();
    for (int round = 0; entrants.size() > 1 && round < kRounds && Clock::now() - start < kMostRounds; ++round) {
        for (Entrant& entrant : entrants) entrant.least = std::min(entrant.least, stage.time(*entrant.conv));
    }
    for (const Entrant& entrant : entrants) best = std::min(best, entrant.least);
    // in the order of the estimates
    const auto is_good = [&](const Entrant& e) { return e.least <= kTie * best; };
    return std::move(std::find_if(entrants.begin(), entrants.end(), is_good)->conv);
}

}  // namespace

std::unique_ptr<BinaryConv> Tuner::fastest(const BinaryConvArgs& args) {
    std::vector<std::string> names = kernels_.binary_conv_names(args);
    if (names.size() > kMostEntrants) names.resize(kMostEntrants);
    if (names.empty() || spent_ > kMostTime) return nullptr;
    if (names.size() == 1) return kernels_.binary_conv(args, names[0].c_str());
    const Clock::time_point start = Clock::now();
    std::unique_ptr<BinaryConv> found = race(kernels_, args, names);
    spent_ += Clock::now() - start;
    return found;
}

}  // namespace bw
