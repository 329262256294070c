// aarch64, which always has these vectors.
#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/sliced.h"

namespace bw {
namespace {

#include "isa_table.inc"

}  // namespace

const Kernels& neon_kernels() {
    static const Kernels table = make_table("neon");
    return table;
}

}  // namespace bw
