#include "reference.h"

namespace bw {

const Kernels& reference_kernels() {
    static const Kernels table = [] {
        Kernels loops{};
        loops.name = "reference";
        reference::set_real(loops);
        reference::set_pools(loops);
        reference::set_elementwise(loops);
        reference::set_bits(loops);
        reference::set_binary_conv(loops);
        return loops;
    }();
    return table;
}

}  // namespace bw
