#include "gaps.h"

#include <algorithm>
#include <cstring>

#include "bit_stream.h"

namespace bw {
namespace {

constexpr size_t kHeader = 4;

int shift_of(size_t elements, size_t rare) {
    int r = 0;
    while ((rare + 1) << (r + 1) < elements) ++r;
    return r;
}

void invert(uint8_t* bitmap, size_t elements) {
    for (size_t i = 0; i < elements / 8; ++i) bitmap[i] = uint8_t(~bitmap[i]);
    if (elements % 8) bitmap[elements / 8] ^= uint8_t((1 << (elements % 8)) - 1);
}

}  // namespace

size_t decode_gaps(const uint8_t* data, size_t bytes, size_t elements, uint8_t* bitmap) {
    if (bytes < kHeader) return 0;
    uint32_t ones;
    std::memcpy(&ones, data, sizeof ones);
    if (ones > elements) return 0;
    const size_t rare = std::min<size_t>(ones, elements - ones);
    if (4 * rare > elements) return 0;
    const int r = shift_of(elements, rare);
    const uint64_t mask = (uint64_t(1) << r) - 1, end = uint64_t(bytes) * 8;
    uint64_t low = kHeader * 8, unary = low + uint64_t(rare) * uint64_t(r), next = 0;
    for (size_t i = 0; i < rare; ++i, ++next) {
        for (uint64_t window; (window = bits_at(data, bytes, unary)) == 0;) {
            const uint64_t zeros = 64 - unary % 8;
            next += zeros << r;
            unary += zeros;
            if (unary >= end) return 0;
        }
        const auto zeros = uint64_t(__builtin_ctzll(bits_at(data, bytes, unary)));
        unary += zeros + 1;
        next += (zeros << r) + (bits_at(data, bytes, low) & mask);
        low += uint64_t(r);
        if (next >= elements) return 0;
        bitmap[next / 8] |= uint8_t(1 << (next % 8));
    }
    if (unary > end || (unary % 8 && data[unary / 8] >> (unary % 8))) return 0;
    if (ones != rare) invert(bitmap, elements);
    return (unary + 7) / 8;
}

size_t gap_bytes(const uint8_t* bitmap, size_t elements, size_t most) {
    const size_t bytes = (elements + 7) / 8;
    size_t ones = 0;
    for (size_t at = 0; at < bytes; at += 8) ones += size_t(__builtin_popcountll(word_at(bitmap, bytes, at)));
    const size_t rare = std::min(ones, elements - ones);
    if (4 * rare > elements) return SIZE_MAX;
    const int r = shift_of(elements, rare);
    if (kHeader + rare * size_t(r + 1) / 8 > most) return SIZE_MAX;
    const uint64_t flip = ones == rare ? 0 : ~uint64_t(0);
    uint64_t quotients = 0, from = 0;
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t rest = word_at(bitmap, bytes, at) ^ flip;
        if (elements - at * 8 < 64) rest &= (uint64_t(1) << (elements - at * 8)) - 1;
        for (; rest; rest &= rest - 1) {
            const uint64_t place = at * 8 + uint64_t(__builtin_ctzll(rest));
            quotients += (place - from) >> r;
            from = place + 1;
        }
    }
    return kHeader + size_t((rare * uint64_t(r + 1) + quotients + 7) / 8);
}

}  // namespace bw
