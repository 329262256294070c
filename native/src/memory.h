// Memory that starts at a multiple of 64 bytes.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "tensor.h"

namespace bw {

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

using Bytes = std::unique_ptr<uint8_t[], Free>;

inline Bytes allocate(size_t bytes) {
    void* memory = std::aligned_alloc(64, round_up(bytes ? bytes : 1, 64));
    if (!memory) throw std::bad_alloc();
    return Bytes(static_cast<uint8_t*>(memory));
}

}  // namespace bw
