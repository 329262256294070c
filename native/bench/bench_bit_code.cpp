// How fast the bits of binary weights are read, on one core: for each such weight of the files that are named, the
// megabytes of its bitmap in a second, decoded alone, and decoded and checked as the loader does. What a file holds as
// a bitmap is not decoded, only checked.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "bit_code.h"
#include "loader.h"
#include "parts.h"

namespace {

const char* name_of(bw::Encoding encoding) {
    switch (encoding) {
        case bw::raw: return "bitmap";
        case bw::gaps: return "gaps";
        case bw::entropy: return "entropy";
        case bw::patterns: return "patterns";
        default: return "huffman";
    }
}

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

void measure(const bw::BlobRecord& record, const uint8_t* data, int taps, const char* file) {
    const auto encoding = bw::Encoding(record.encoding);
    const size_t bytes = (size_t(record.elements) + 7) / 8;
    std::vector<uint8_t> bitmap(data, data + std::min<size_t>(bytes, record.bytes));
    bitmap.resize(bytes);
    const auto decode = [&] {
        if (encoding == bw::raw) return;
        std::fill(bitmap.begin(), bitmap.end(), uint8_t(0));
        if (!bw::decode_bits(encoding, data, record.bytes, record.elements, taps, bitmap.data())) std::puts("refused");
    };
    const double decoded = best_seconds(decode);
    size_t ones = 0;
    for (const uint8_t byte : bitmap) ones += size_t(__builtin_popcount(byte));
    const double loaded = best_seconds([&] {
        decode();
        if (!bw::is_smallest_code(encoding, record.bytes, bitmap.data(), record.elements, taps,
                                  bw::newest_encoding(bw::kVersion))) {
            std::puts("refused");
        }
    });
    const std::string speed = encoding == bw::raw ? "" : std::to_string(int(double(bytes) / decoded / 1e6));
    std::printf("%s,%s,%u,%.4f,%.4f,%s,%.0f\n", file, name_of(encoding), record.elements,
                double(ones) / record.elements, 8.0 * double(record.bytes) / record.elements, speed.c_str(),
                double(bytes) / loaded / 1e6);
}

}  // namespace

int main(int count, char** files) {
    std::puts("file,encoding,weights,density,bits_per_weight,decoded_mbs,checked_mbs");
    for (int i = 1; i < count; ++i) {
        std::ifstream stream(files[i], std::ios::binary);
        const std::vector<char> text{std::istreambuf_iterator<char>(stream), {}};
        const auto* data = reinterpret_cast<const uint8_t*>(text.data());
        bw::load_bytes(data, text.size());  // which throws where the rest of this would fail
        const bw::Parts parts = bw::find_parts(data, text.size());
        for (uint32_t number = 0; number < parts.header.ops; ++number) {
            const auto op = parts.record<bw::OpRecord>(parts.ops, number);
            const bool is_map = bw::OpCode(op.code) == bw::OpCode::binary_conv;
            if (!is_map && bw::OpCode(op.code) != bw::OpCode::binary_linear) continue;
            const auto blob = parts.record<bw::BlobRecord>(parts.blobs, op.blobs[0]);
            measure(blob, data + blob.offset, is_map ? op.ints[0] * op.ints[1] : 1, files[i]);
        }
    }
}
