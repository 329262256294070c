// Times of convolutions of digits (two bit planes) through a scale to float32, on one thread: without a gate, and with
// gates that are open at some share of the outputs, whole channels at once or pixels here and there. Beside them the
// same convolution of signs.
//
//     bench_digits [isa [choice]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dispatch.h"
#include "kernels/kernels.h"

namespace {

using namespace bw;

struct Layer {
    int size, channels, filters, kernel;
};

struct Free {
    void operator()(void* p) const { std::free(p); }
};
using Memory = std::unique_ptr<uint8_t, Free>;

Memory allocate(size_t bytes) {
    return Memory(static_cast<uint8_t*>(std::aligned_alloc(64, round_up(bytes + 64, 64))));
}

double now() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

// A convolution made ready, with all that it reads and writes.
class Setup {
public:
    Setup(const Kernels& kernels, const char* choice, Layer layer, int planes, const std::vector<int32_t>& gate)
        : gate_(gate), ones_(size_t(layer.filters), 1.0f) {
        std::mt19937 rng(1);
        args_.in = {layer.channels, layer.size, layer.size};
        args_.out = {layer.filters, layer.size, layer.size};
        args_.window = {layer.kernel, layer.kernel, 1, 1, layer.kernel / 2, layer.kernel / 2, 1, 1};
        args_.input_planes = planes;
        args_.gate = gate_.empty() ? nullptr : gate_.data();
        args_.tail = true;
        std::vector<uint8_t> weight(size_t(layer.filters) * layer.channels * layer.kernel * layer.kernel);
        for (uint8_t& w : weight) w = rng() % 2;
        args_.weight = weight.data();
        conv_ = kernels.binary_conv(args_, choice);
        if (!conv_) return;
        in_ = allocate(2 * args_.in.bit_bytes());
        out_ = allocate(4 * args_.out.elements());
        scratch_ = allocate(conv_->scratch_bytes());
        std::memset(in_.get(), 0, 2 * args_.in.bit_bytes());
        for (int c = 0; c < 2 * args_.in.c; c++) {
            for (int y = 0; y < args_.in.h; y++) {
                uint8_t* row = in_.get() + c * args_.in.stride() + size_t(y) * args_.in.pitch();
                for (int x = 0; x < args_.in.w; x++) row[x / 8] |= uint8_t(rng() % 2 << (x % 8));
            }
        }
        steps_[0].op = Step::load_sum;
        steps_[1].op = Step::affine, steps_[1].a = ones_.data();
        steps_[2].op = Step::store, steps_[2].target = out_.get();
    }

    explicit operator bool() const { return conv_ != nullptr; }
    const char* name() const { return conv_->name(); }
    const float* out() const { return reinterpret_cast<const float*>(out_.get()); }
    size_t pixels() const { return args_.out.pixels(); }

    void run() {
        Tail tail{steps_, 3};
        conv_->prepare(in_.get(), scratch_.get(), 0, conv_->prepare_units());
        conv_->channels(scratch_.get(), &tail, 0, conv_->channel_units());
    }

private:
    BinaryConvArgs args_;
    std::vector<int32_t> gate_;
    std::vector<float> ones_;
    std::unique_ptr<BinaryConv> conv_;
    Memory in_, out_, scratch_;
    Step steps_[3] = {};
};

constexpr double kShares[] = {0, 0.1, 0.4, 1};

// The sums over the high bits, by channel.
std::vector<float> high_sums(const Kernels& kernels, Layer layer) {
    const std::vector<int32_t> shut(size_t(layer.filters), INT32_MAX);
    Setup setup(kernels, "", layer, 2, shut);
    setup.run();
    std::vector<float> sums(setup.out(), setup.out() + setup.pixels() * layer.filters);
    for (float& sum : sums) sum /= 2;
    return sums;
}

void measure(const Kernels& kernels, const char* choice, Layer layer) {
    std::vector<std::string> labels = {"signs", "digits"};
    std::vector<std::unique_ptr<Setup>> setups;
    setups.push_back(std::make_unique<Setup>(kernels, choice, layer, 1, std::vector<int32_t>()));
    setups.push_back(std::make_unique<Setup>(kernels, choice, layer, 2, std::vector<int32_t>()));
    if (!*setups[0]) return;
    const std::vector<float> high = high_sums(kernels, layer);
    const size_t pixels = setups[0]->pixels();
    std::mt19937 rng(2);
    for (const bool by_channel : {true, false}) {
        for (const double share : kShares) {
            std::vector<int32_t> gate;
            for (int n = 0; n < layer.filters; n++) {
                std::vector<float> sums(high.begin() + long(n * pixels), high.begin() + long((n + 1) * pixels));
                std::sort(sums.begin(), sums.end());
                const size_t shut = size_t(double(pixels) * (1 - share));
                const int32_t pixelwise = shut < pixels ? int32_t(sums[shut]) : INT32_MAX;
                gate.push_back(!by_channel ? pixelwise : rng() % 1000 < share * 1000 ? INT32_MIN : INT32_MAX);
            }
            labels.push_back((by_channel ? "channels " : "pixels ") + std::to_string(int(100 * share)) + " %");
            setups.push_back(std::make_unique<Setup>(kernels, choice, layer, 2, gate));
        }
    }
    std::vector<double> least(setups.size(), 1);
    for (const double start = now(); now() - start < 1.0;) {  // in turn
        for (size_t i = 0; i < setups.size(); i++) {
            const double begin = now();
            setups[i]->run();
            least[i] = std::min(least[i], now() - begin);
        }
    }
    std::printf("%s %dx%dx%d to %d, %dx%d:", kernels.name, layer.size, layer.size, layer.channels, layer.filters,
                layer.kernel, layer.kernel);
    for (size_t i = 0; i < setups.size(); i++) {
        std::printf("  %s %.1f us (%s)", labels[i].c_str(), 1e6 * least[i], setups[i]->name());
    }
    std::printf("\n");
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string isa = argc > 1 ? argv[1] : "all";
    const Layer layers[] = {{56, 64, 64, 3},   {28, 128, 128, 3}, {14, 256, 256, 3}, {7, 512, 512, 3}, {32, 16, 16, 3},
                            {16, 32, 32, 3},   {8, 64, 64, 3},    {14, 512, 512, 1}};
    for (const Layer& layer : layers) {
        for (const Kernels* kernels : available_kernels()) {
            if (kernels == &reference_kernels() || (isa != "all" && isa != kernels->name)) continue;
            measure(*kernels, argc > 2 ? argv[2] : "", layer);
        }
    }
}
