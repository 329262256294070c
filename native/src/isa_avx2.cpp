// x86-64 with AVX2, BMI and POPCNT.
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/sliced.h"

namespace bw {
namespace {

#include "isa_table.inc"

}  // namespace

const Kernels& avx2_kernels() {
    static const Kernels table = make_table("avx2");
    return table;
}

}  // namespace bw
