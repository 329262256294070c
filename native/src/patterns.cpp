#include "patterns.h"

#include <algorithm>
#include <cstring>

#include "bit_stream.h"

namespace bw {
namespace {

constexpr size_t kHeader = 2;

int index_width(size_t count) {
    int width = 0;
    while (size_t(1) << width < count) ++width;
    return width;
}

size_t bits_of(size_t count, size_t kernels, int taps) {
    return kHeader * 8 + set_bits(count, taps) + kernels * size_t(index_width(count));
}

}  // namespace

size_t decode_patterns(const uint8_t* data, size_t bytes, size_t elements, int taps, uint8_t* bitmap) {
    if (!are_kernels(elements, taps) || bytes < kHeader) return 0;
    uint16_t last;
    std::memcpy(&last, data, sizeof last);
    const size_t count = size_t(last) + 1, kernels = elements / size_t(taps), end = bits_of(count, kernels, taps);
    std::vector<uint16_t> found;
    if (end > bytes * 8 || !read_set(data, bytes, kHeader * 8, count, taps, found)) return 0;
    if (end % 8 && data[end / 8] >> (end % 8)) return 0;
    const int width = index_width(count);
    const auto mask = uint32_t((uint64_t(1) << width) - 1);
    std::vector<uint8_t> occurs(size_t(1) << width);
    found.resize(occurs.size());
    BitWriter out(bitmap);
    for (size_t i = 0, at = end - kernels * size_t(width); i < kernels; ++i, at += size_t(width)) {
        const uint32_t index = uint32_t(bits_at(data, bytes, at)) & mask;
        occurs[index] = 1;
        out.put(found[index], taps);
    }
    out.finish();
    // each kernel of the set occurs, and no index is of none
    const auto behind = occurs.begin() + ptrdiff_t(count);
    if (!std::all_of(occurs.begin(), behind, [](uint8_t seen) { return seen == 1; })) return 0;
    if (!std::all_of(behind, occurs.end(), [](uint8_t seen) { return seen == 0; })) return 0;
    return (end + 7) / 8;
}

size_t pattern_bytes(const KernelCounts& all) { return (bits_of(all.found.size(), all.kernels, all.taps) + 7) / 8; }

}  // namespace bw
