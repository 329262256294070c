// Any 64-bit processor: whole words, and vectors of floats that the compiler breaks up where it has to.
#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/sliced.h"

// By these, which every x86-64 or aarch64 compiler defines, the shared code would choose intrinsics.
#undef __SSE2__
#undef __ARM_NEON

namespace bw {
namespace {

#include "isa_table.inc"

}  // namespace

const Kernels& portable_kernels() {
    static const Kernels table = make_table("portable");
    return table;
}

}  // namespace bw
