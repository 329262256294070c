#include "huffman.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "bit_stream.h"

namespace bw {
namespace {

constexpr int kLongest = 16;

struct Header {
    uint16_t last;
    uint8_t least, most;
};
static_assert(sizeof(Header) == 4);

int width_of(int difference) { return difference ? 32 - __builtin_clz(unsigned(difference)) : 0; }

size_t table_bits(size_t count, int taps, int least, int most) {
    return sizeof(Header) * 8 + set_bits(count, taps) + count * size_t(width_of(most - least));
}

// How many nodes are above each of some kernels, whose weights ascend.
std::vector<int> depths(const std::vector<uint32_t>& weights) {
    const size_t kernels = weights.size(), nodes = 2 * kernels - 1;
    std::vector<uint64_t> weight(weights.begin(), weights.end());
    weight.resize(nodes);
    std::vector<size_t> above(nodes);
    size_t leaf = 0, joined = kernels;
    for (size_t node = kernels; node < nodes; ++node) {
        for (int side = 0; side < 2; ++side) {
            const bool is_leaf = joined == node || (leaf < kernels && weight[leaf] <= weight[joined]);
            const size_t child = is_leaf ? leaf++ : joined++;
            above[child] = node;
            weight[node] += weight[child];
        }
    }
    std::vector<int> depth(nodes);
    for (size_t node = nodes - 1; node-- > 0;) depth[node] = depth[above[node]] + 1;
    depth.resize(kernels);
    return depth;
}

std::vector<uint8_t> code_lengths(const std::vector<uint32_t>& counts) {
    std::vector<uint64_t> order;
    for (size_t i = 0; i < counts.size(); ++i) order.push_back(uint64_t(counts[i]) << 16 | i);
    std::sort(order.begin(), order.end());
    std::vector<uint32_t> weights;
    for (const uint64_t key : order) weights.push_back(uint32_t(key >> 16));
    std::vector<int> depth;
    while (depth = depths(weights), *std::max_element(depth.begin(), depth.end()) > kLongest) {
        for (uint32_t& weight : weights) weight = (weight + 1) / 2;
    }
    std::vector<uint8_t> lengths(counts.size());
    for (size_t i = 0; i < order.size(); ++i) lengths[order[i] & 0xFFFF] = uint8_t(depth[i]);
    return lengths;
}

uint32_t reversed(uint32_t word, int width) {
    uint32_t turned = 0;
    for (int i = 0; i < width; ++i) turned |= (word >> i & 1) << (width - 1 - i);
    return turned;
}

// What the next `most` bits of a stream start with: the kernel, above 8 bits with the length of its code word.
std::vector<uint32_t> decoding_table(const std::vector<uint16_t>& found, const std::vector<uint8_t>& lengths, int least,
                                     int most) {
    std::vector<uint32_t> table(size_t(1) << most);
    uint32_t word = 0;
    for (int length = least; length <= most; ++length, word <<= 1) {
        for (size_t i = 0; i < found.size(); ++i) {
            if (lengths[i] == length) table[reversed(word++, length)] = uint32_t(found[i]) << 8 | uint32_t(length);
        }
        const size_t filled = size_t(1) << length;
        if (length < most) std::copy_n(table.begin(), filled, table.begin() + ptrdiff_t(filled));
    }
    return table;
}

}  // namespace

size_t decode_huffman(const uint8_t* data, size_t bytes, size_t elements, int taps, uint8_t* bitmap) {
    Header header;
    if (!are_kernels(elements, taps) || bytes < sizeof header) return 0;
    std::memcpy(&header, data, sizeof header);
    const int least = header.least, most = header.most;
    if (least < 1 || most < least || most > kLongest) return 0;
    const size_t count = size_t(header.last) + 1, table_end = table_bits(count, taps, least, most);
    std::vector<uint16_t> found;
    if (table_end > bytes * 8 || !read_set(data, bytes, sizeof header * 8, count, taps, found)) return 0;
    const int width = width_of(most - least);
    std::vector<uint8_t> lengths(count);
    uint64_t share = 0;  // of all streams of bits, those that start with some code word: all, or there is no such code
    for (size_t i = 0; i < count; ++i) {
        const uint64_t stored = bits_at(data, bytes, table_end - (count - i) * size_t(width));
        const int length = least + int(stored & ((1u << width) - 1));
        if (length > most) return 0;
        lengths[i] = uint8_t(length);
        share += uint64_t(1) << (most - length);
    }
    const auto ends = std::minmax_element(lengths.begin(), lengths.end());
    if (share != uint64_t(1) << most || *ends.first != least || *ends.second != most) return 0;
    const std::vector<uint32_t> table = decoding_table(found, lengths, least, most);
    const uint64_t mask = (uint64_t(1) << most) - 1;
    const size_t kernels = elements / size_t(taps), together = size_t(kBitsAt / most);
    size_t at = table_end;
    BitWriter out(bitmap);
    for (size_t i = 0; i < kernels; i += together) {
        uint64_t window = bits_at(data, bytes, at);
        for (size_t left = std::min(together, kernels - i); left; --left) {
            const uint32_t entry = table[window & mask];
            window >>= entry & 0xFF;
            at += entry & 0xFF;
            out.put(entry >> 8, taps);
        }
    }
    out.finish();
    if (at > bytes * 8 || (at % 8 && data[at / 8] >> (at % 8))) return 0;
    const KernelCounts all = count_kernels(bitmap, elements, taps);
    return all.found == found && code_lengths(all.counts) == lengths ? (at + 7) / 8 : 0;
}

size_t huffman_bytes(const KernelCounts& all, size_t most) {
    const size_t count = all.found.size();
    if (count == 1) return SIZE_MAX;
    double entropy = 0;  // which no code of whole bits stays below, and is found sooner
    for (const uint32_t n : all.counts) entropy += n * std::log2(double(all.kernels) / n);
    if ((double(set_bits(count, all.taps)) + entropy) * 0.999 > double(most) * 8) return SIZE_MAX;
    const std::vector<uint8_t> lengths = code_lengths(all.counts);
    const auto ends = std::minmax_element(lengths.begin(), lengths.end());
    size_t bits = table_bits(count, all.taps, *ends.first, *ends.second);
    for (size_t i = 0; i < count; ++i) bits += size_t(all.counts[i]) * lengths[i];
    return (bits + 7) / 8;
}

}  // namespace bw
