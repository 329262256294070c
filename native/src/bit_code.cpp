#include "bit_code.h"

#include <algorithm>

#include "entropy.h"
#include "gaps.h"
#include "huffman.h"
#include "patterns.h"

namespace bw {
namespace {

constexpr size_t kMostBits = 128;  // of the bitmap for each bit of a code: memory stays in proportion to the file

size_t raw_bytes(size_t elements) { return (elements + 7) / 8; }

// How many of the bytes are the encoding of some bits; 0 where they are not.
size_t decode(Encoding encoding, const uint8_t* data, size_t bytes, size_t elements, int taps, uint8_t* bitmap) {
    switch (encoding) {
        case gaps: return decode_gaps(data, bytes, elements, bitmap);
        case entropy: return decode_entropy(data, bytes, elements, bitmap);
        case patterns: return decode_patterns(data, bytes, elements, taps, bitmap);
        case huffman: return decode_huffman(data, bytes, elements, taps, bitmap);
        default: return 0;
    }
}

}  // namespace

size_t least_code_bytes(size_t elements) { return (raw_bytes(elements) + kMostBits - 1) / kMostBits; }

bool decode_bits(Encoding encoding, const uint8_t* data, size_t bytes, size_t elements, int taps, uint8_t* bitmap) {
    const size_t used = decode(encoding, data, bytes, elements, taps, bitmap);
    if (used == 0 || bytes != std::max(used, least_code_bytes(elements))) return false;
    if (elements % 8 && bitmap[elements / 8] >> (elements % 8)) return false;
    return std::all_of(data + used, data + bytes, [](uint8_t byte) { return byte == 0; });
}

bool is_smallest_code(Encoding encoding, size_t bytes, const uint8_t* bitmap, size_t elements, int taps,
                      Encoding newest) {
    const auto beats = [&](Encoding other, size_t size) {
        if (other > newest || size == SIZE_MAX) return false;
        const size_t padded = std::max(size, least_code_bytes(elements));
        return padded < bytes || (padded == bytes && other < encoding);
    };
    if (encoding != raw && beats(raw, raw_bytes(elements))) return false;
    if (encoding != gaps && beats(gaps, gap_bytes(bitmap, elements, bytes))) return false;
    if (encoding != entropy && beats(entropy, entropy_bytes(bitmap, elements, bytes))) return false;
    if (newest < patterns || !are_kernels(elements, taps)) return true;
    const KernelCounts all = count_kernels(bitmap, elements, taps);
    if (encoding != patterns && beats(patterns, pattern_bytes(all))) return false;
    return encoding == huffman || !beats(huffman, huffman_bytes(all, bytes));
}

}  // namespace bw
