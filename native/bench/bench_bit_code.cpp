// How fast the bits of binary weights are read: bytes of bitmap a second, on one core.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>

#include "entropy.h"
#include "gaps.h"

namespace {

template <class Work>
double best_seconds(Work work) {
    double best = 1e9;
    for (int run = 0; run < 15; ++run) {
        const auto start = std::chrono::steady_clock::now();
        work();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
}

}  // namespace

int main() {
    using Decode = bool (*)(const uint8_t*, size_t, size_t, uint8_t*);
    using Encode = std::vector<uint8_t> (*)(const uint8_t*, size_t, size_t);
    struct Code {
        const char* name;
        Decode decode;
        Encode encode;
    };
    std::puts("code,weights,density,bits a weight,decoded MB/s,encoded MB/s");
    for (const Code& code : {Code{"gaps", bw::decode_gaps, bw::encode_gaps},
                             Code{"entropy", bw::decode_entropy, bw::encode_entropy}}) {
        for (const size_t elements : {size_t(9216), size_t(589824), size_t(2359296)}) {
            for (const double density : {0.005, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5}) {
                std::mt19937 random(7);
                std::bernoulli_distribution one(density);
                const size_t bytes = elements / 8;
                std::vector<uint8_t> bitmap(bytes), found(bytes);
                for (size_t i = 0; i < elements; ++i) bitmap[i / 8] |= uint8_t(one(random) << (i % 8));
                const std::vector<uint8_t> data = code.encode(bitmap.data(), elements, 2 * bytes);
                if (data.empty()) continue;
                const double decoded = best_seconds([&] {
                    std::memset(found.data(), 0, bytes);
                    if (!code.decode(data.data(), data.size(), elements, found.data())) std::puts("refused");
                });
                if (found != bitmap) std::puts("other bits");
                const double encoded = best_seconds([&] { code.encode(bitmap.data(), elements, 2 * bytes); });
                std::printf("%s,%zu,%g,%.4f,%.0f,%.0f\n", code.name, elements, density, 8.0 * double(data.size()) /
                            double(elements), double(bytes) / decoded / 1e6, double(bytes) / encoded / 1e6);
            }
        }
    }
}
