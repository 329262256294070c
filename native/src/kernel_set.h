// Kernels as numbers, and the set of those that occur: the twin of src/bitwright/format/kernel_set.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bw {

// Whether bits are to be seen as kernels of so many taps: of at least 2, and at most 16.
bool are_kernels(size_t elements, int taps);

// The kernels that occur in a bitmap, ascending, and how often each does.
struct KernelCounts {
    int taps;
    size_t kernels;
    std::vector<uint16_t> found;
    std::vector<uint32_t> counts;
};
KernelCounts count_kernels(const uint8_t* bitmap, size_t elements, int taps);

// How many bits a set of so many kernels takes.
size_t set_bits(size_t count, int taps);

// Reads a set of so many kernels from a bit on; whether there are as many, and ascending.
bool read_set(const uint8_t* data, size_t bytes, size_t bit, size_t count, int taps, std::vector<uint16_t>& found);

}  // namespace bw
