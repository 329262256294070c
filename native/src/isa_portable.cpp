// The instructions that every processor of the architecture has.
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>

#include "kernels/kernels.h"
#include "kernels/sliced.h"

namespace bw {
namespace {

#include "isa_table.inc"

}  // namespace

const Kernels& portable_kernels() {
    static const Kernels table = make_table("portable");
    return table;
}

}  // namespace bw
