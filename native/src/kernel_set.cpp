#include "kernel_set.h"

#include <algorithm>

#include "bit_stream.h"

namespace bw {

bool are_kernels(size_t elements, int taps) { return taps >= 2 && taps <= 16 && elements % size_t(taps) == 0; }

KernelCounts count_kernels(const uint8_t* bitmap, size_t elements, int taps) {
    const size_t bytes = (elements + 7) / 8, kernels = elements / size_t(taps), together = size_t(kBitsAt / taps);
    const uint64_t mask = (uint64_t(1) << taps) - 1;
    std::vector<uint32_t> count_of(size_t(2) << taps);  // two of each, in turn: one just written is slow to read
    for (size_t i = 0; i < kernels; i += together) {
        uint64_t window = bits_at(bitmap, bytes, i * size_t(taps));
        for (size_t left = std::min(together, kernels - i); left; --left, window >>= taps) {
            ++count_of[(window & mask) << 1 | (left & 1)];
        }
    }
    KernelCounts all{taps, kernels, {}, {}};
    for (size_t kernel = 0; kernel <= mask; ++kernel) {
        const uint32_t count = count_of[kernel << 1] + count_of[kernel << 1 | 1];
        if (!count) continue;
        all.found.push_back(uint16_t(kernel));
        all.counts.push_back(count);
    }
    return all;
}

size_t set_bits(size_t count, int taps) { return std::min(count * size_t(taps), size_t(1) << taps); }

bool read_set(const uint8_t* data, size_t bytes, size_t bit, size_t count, int taps, std::vector<uint16_t>& found) {
    const size_t all = size_t(1) << taps;
    if (count > all || bit + set_bits(count, taps) > bytes * 8) return false;
    const bool is_list = count * size_t(taps) <= all;
    for (size_t i = 0; i < (is_list ? count : all); ++i) {
        const uint64_t next = bits_at(data, bytes, bit + i * size_t(is_list ? taps : 1));
        if (is_list) {
            const auto kernel = uint16_t(next & (all - 1));
            if (i && kernel <= found.back()) return false;
            found.push_back(kernel);
        } else if (next & 1) {
            found.push_back(uint16_t(i));
        }
    }
    return found.size() == count;
}

}  // namespace bw
