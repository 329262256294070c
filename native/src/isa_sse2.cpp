// x86-64, which always has these vectors.
#include <emmintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/sliced.h"

namespace bw {
namespace {

#include "isa_table.inc"

}  // namespace

const Kernels& sse2_kernels() {
    static const Kernels table = make_table("sse2");
    return table;
}

}  // namespace bw
