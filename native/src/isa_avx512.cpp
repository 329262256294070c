// x86-64 with AVX-512 F, BW, DQ and VL.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/sliced.h"

namespace bw {
namespace {

#include "isa_table.inc"

}  // namespace

const Kernels& avx512_kernels() {
    static const Kernels table = make_table("avx512");
    return table;
}

}  // namespace bw
