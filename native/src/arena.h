// Places buffers that are needed at different times in the same memory.
#pragma once
#include <cstddef>
#include <vector>

namespace bw {

struct Buffer {
    size_t bytes = 0;
    int first = 0, last = 0;  // the steps that use it, inclusive
    size_t offset = 0;
};

// Gives each buffer an offset, a multiple of 64, so that none overlap that are in use at the same time. Returns the
// bytes of the whole.
size_t place(std::vector<Buffer>& buffers);

}  // namespace bw
