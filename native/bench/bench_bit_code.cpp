// How fast coded bits of binary weights are read, on one core: for each such weight of the files that are named, the
// megabytes of its bitmap in a second, decoded alone, and decoded and checked as the loader does.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "bit_code.h"
#include "loader.h"
#include "memory.h"

namespace {

template <class Work>
double best_seconds(Work work) {
    double best = 1e9;
    for (int run = 0; run < 25; ++run) {
        const auto start = std::chrono::steady_clock::now();
        work();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
}

void measure(const bw::BlobRecord& record, const uint8_t* data, const char* file) {
    const auto encoding = bw::Encoding(record.encoding);
    const size_t bytes = (size_t(record.elements) + 7) / 8;
    std::vector<uint8_t> bitmap(bytes);
    const auto decode = [&] {
        std::fill(bitmap.begin(), bitmap.end(), uint8_t(0));
        if (!bw::decode_bits(encoding, data, record.bytes, record.elements, bitmap.data())) std::puts("refused");
    };
    const double decoded = best_seconds(decode);
    size_t ones = 0;
    for (const uint8_t byte : bitmap) ones += size_t(__builtin_popcount(byte));
    const double loaded = best_seconds([&] {
        decode();
        if (!bw::is_smallest_code(encoding, record.bytes, bitmap.data(), record.elements,
                                  bw::newest_encoding(bw::kVersion))) std::puts("refused");
    });
    std::printf("%s,%s,%u,%.4f,%.4f,%.0f,%.0f\n", file, encoding == bw::gaps ? "gaps" : "entropy", record.elements,
                double(ones) / record.elements, 8.0 * double(record.bytes) / record.elements,
                double(bytes) / decoded / 1e6, double(bytes) / loaded / 1e6);
}

}  // namespace

int main(int count, char** files) {
    std::puts("file,encoding,weights,density,bits a weight,decoded MB/s,decoded and checked MB/s");
    for (int i = 1; i < count; ++i) {
        std::ifstream stream(files[i], std::ios::binary);
        const std::vector<char> text{std::istreambuf_iterator<char>(stream), {}};
        const auto* data = reinterpret_cast<const uint8_t*>(text.data());
        bw::load_bytes(data, text.size());  // which throws where the rest of this would fail
        bw::Header header;
        std::memcpy(&header, data, sizeof header);
        const size_t table = bw::round_up(sizeof header + header.ops * sizeof(bw::OpRecord), 64);
        for (uint32_t blob = 0; blob < header.blobs; ++blob) {
            bw::BlobRecord record;
            std::memcpy(&record, data + table + blob * sizeof record, sizeof record);
            if (record.dtype == bw::bits && record.encoding != bw::raw) measure(record, data + record.offset, files[i]);
        }
    }
}
