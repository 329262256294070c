// Times of a whole network from a .bw file, and of each of its steps, on one thread. Input values are noise.
//
//     bench_model file [isa [runs]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "engine.h"
#include "loader.h"

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: bench_model file [isa [runs]]\n");
        return 2;
    }
    bw::EngineOptions options;
    if (argc > 2) options.isa = argv[2];
    const int runs = argc > 3 ? std::atoi(argv[3]) : 100;
    bw::Engine engine(bw::load_file(argv[1]), options);
    const bw::TensorType& type = engine.model().input;
    std::mt19937 random(1);
    std::vector<uint8_t> pixels(type.shape.elements());
    std::vector<float> floats(type.shape.elements());
    for (uint8_t& p : pixels) p = uint8_t(random());
    for (float& f : floats) f = std::normal_distribution<float>()(random);
    const void* x = type.kind == bw::Kind::pixel ? static_cast<const void*>(pixels.data()) : floats.data();
    std::vector<float> y(engine.model().type(engine.model().output()).shape.elements());

    const std::vector<bw::Timing> steps = engine.profile(x, runs);
    for (size_t i = 0; i < steps.size(); ++i) {
        const bw::PlanStep& step = engine.plan().steps[i];
        std::printf("%-36s %-18s %9.2f us least %9.2f median  +%d\n", step.name.c_str(), step.kernel.c_str(),
                    steps[i].least, steps[i].median, int(step.fused.size()));
    }
    std::vector<double> times;
    for (int run = 0; run < runs; ++run) {
        const auto start = std::chrono::steady_clock::now();
        engine.run(x, 1, y.data(), 1);
        const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
        times.push_back(time.count());
    }
    std::sort(times.begin(), times.end());
    std::printf("%s: %.4f ms least, %.4f median, %d runs\n", engine.kernels().name, times[0], times[times.size() / 2],
                runs);
}
