// Times of the binary convolutions, bits in and bits out, preparation included, on one thread.
//
//     bench_sliced [isa [choice [height width channels filters kernel stride density [patterns]]]]
//
// isa: portable, avx2, ... or "all"; choice: the name of a method, or "all"; patterns: that all kernels are drawn from;
// without a shape, a table of usual ones.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "dispatch.h"
#include "kernels/kernels.h"

namespace {

using namespace bw;

struct Layer {
    int height, width, channels, filters, kernel, stride;
    double density;
    int patterns = 0;  // 0: any
};

double now() {
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

struct Timing {
    double least, median;
    int runs;
};

// Runs for about 0.2 seconds; other processes disturb the median, hardly ever the least.
template <class Run> Timing time_of(Run run) {
    std::vector<double> times;
    run();
    for (const double start = now(); times.size() < 5 || (now() - start < 0.2 && times.size() < 20000);) {
        const double begin = now();
        run();
        times.push_back(now() - begin);
    }
    std::sort(times.begin(), times.end());
    return {times.front(), times[times.size() / 2], int(times.size())};
}

enum Result { bits, sums, window_sums };

void measure(const Kernels& kernels, const char* choice, Layer layer, bool is_signed, Result result) {
    if (result == window_sums) layer.filters = 1, layer.density = 1;
    std::mt19937 rng(1);
    BinaryConvArgs args;
    const int padding = layer.kernel / 2;
    args.in = {layer.channels, layer.height, layer.width};
    args.out = {layer.filters, (layer.height + 2 * padding - layer.kernel) / layer.stride + 1,
                (layer.width + 2 * padding - layer.kernel) / layer.stride + 1};
    args.window = {layer.kernel, layer.kernel, layer.stride, layer.stride, padding, padding, 1, 1};
    args.input_signed = args.weight_signed = is_signed;
    const size_t positions = size_t(layer.channels) * layer.kernel * layer.kernel;
    std::vector<uint8_t> weight(layer.filters * positions), flip(layer.filters, 0);
    for (uint8_t& w : weight) w = rng() % 100000 < layer.density * 100000;
    const size_t window = size_t(layer.kernel) * size_t(layer.kernel);
    for (size_t i = size_t(layer.patterns); layer.patterns && i < weight.size() / window; i++) {
        std::copy_n(&weight[rng() % unsigned(layer.patterns) * window], window, &weight[i * window]);
    }
    std::vector<int32_t> threshold(layer.filters, is_signed ? 1 : int(double(positions) * layer.density / 2));
    args.weight = weight.data();
    args.threshold = result == bits ? threshold.data() : nullptr;
    args.window_sum = result == window_sums;
    args.flip = flip.data();
    const std::unique_ptr<BinaryConv> conv = kernels.binary_conv(args, choice);
    if (!conv) return;
    const auto allocate = [](size_t bytes) {
        return static_cast<uint8_t*>(std::aligned_alloc(64, round_up(bytes, 64)));
    };
    uint8_t* in = allocate(args.in.bit_bytes());
    uint8_t* out = allocate(std::max(args.out.bit_bytes(), 4 * args.out.elements()));
    uint8_t* scratch = allocate(conv->scratch_bytes());
    std::memset(in, 0, args.in.bit_bytes());
    for (int c = 0; c < args.in.c; c++) {
        for (int y = 0; y < args.in.h; y++) {
            for (int x = 0; x < args.in.w; x++) {
                in[c * args.in.stride() + y * args.in.pitch() + x / 8] |= uint8_t((rng() & 1) << (x % 8));
            }
        }
    }
    const Timing preparation = time_of([&] { conv->prepare(in, scratch, 0, conv->prepare_units()); });
    const Timing all = time_of([&] {
        conv->prepare(in, scratch, 0, conv->prepare_units());
        conv->channels(scratch, out, 0, conv->channel_units());
    });
    const double products = double(positions) * double(args.out.elements());
    std::printf("%-9s %-16s %3dx%-3dx%-3d to %-3d k%d s%d density %.2f %s %s  %8.2f us least %8.2f median %6d runs "
                "%6.0f GMAC/s  prepare %.2f us\n",
                kernels.name, conv->name(), layer.height, layer.width, layer.channels, layer.filters, layer.kernel,
                layer.stride, layer.density, is_signed ? "-1/+1" : "0/1  ", result == bits ? "bits" : "sums",
                1e6 * all.least, 1e6 * all.median, all.runs, products / all.least * 1e-9, 1e6 * preparation.least);
    std::fflush(stdout);
    std::free(in);
    std::free(out);
    std::free(scratch);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string isa = argc > 1 ? argv[1] : "all", choice = argc > 2 ? argv[2] : "";
    std::vector<std::string> choices = {choice};
    if (choice == "all") {
        choices = {"sliced-list"};
        for (int filters = 1; filters <= 6; filters++) choices.push_back("four-russians-" + std::to_string(filters));
        for (int pixels = 3; pixels <= 8; pixels++) choices.push_back("channel-lanes-" + std::to_string(pixels));
    }
    std::vector<Layer> layers;
    if (argc > 9) {
        layers.push_back({std::atoi(argv[3]), std::atoi(argv[4]), std::atoi(argv[5]), std::atoi(argv[6]),
                          std::atoi(argv[7]), std::atoi(argv[8]), std::atof(argv[9]),
                          argc > 10 ? std::atoi(argv[10]) : 0});
    } else {
        const int shapes[][4] = {{56, 64, 64, 1},    {28, 128, 128, 1}, {14, 256, 256, 1}, {7, 512, 512, 1},
                                 {32, 16, 16, 1},    {16, 32, 32, 1},   {8, 64, 64, 1},    {32, 128, 128, 1},
                                 {16, 256, 256, 1},  {8, 256, 512, 1},  {8, 512, 512, 1},  {4, 512, 512, 1},
                                 {56, 64, 128, 2},   {28, 128, 256, 2}, {14, 256, 512, 2}};
        for (const auto& s : shapes) {
            for (double density : {0.5, 0.2, 0.1, 0.05, 0.01}) {
                if (s[3] == 1 || density == 0.5) layers.push_back({s[0], s[0], s[1], s[2], 3, s[3], density});
            }
        }
    }
    for (const Layer& layer : layers) {
        for (const Kernels* kernels : available_kernels()) {
            if (kernels == &reference_kernels()) continue;
            if (isa != "all" && isa != kernels->name) continue;
            for (const std::string& c : choices) {
                if (layer.density == 0.5) measure(*kernels, c.c_str(), layer, true, bits);
                measure(*kernels, c.c_str(), layer, false, bits);
                if (choices.size() > 1 || layer.density != 0.5) continue;
                measure(*kernels, c.c_str(), layer, true, sums);
                measure(*kernels, c.c_str(), layer, true, window_sums);
            }
        }
    }
}
