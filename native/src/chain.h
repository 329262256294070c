// Elementwise ops that run one after another on values in registers.
#pragma once
#include <array>

#include "fuse.h"
#include "kernels/kernels.h"
#include "plan.h"

namespace bw {

// The steps of a chain, whose pointers to tensors are still numbers of buffers.
class Chain {
public:
    using Steps = std::array<Step, 2 * kMaxChain + 1>;  // a load, then each op and perhaps a store

    Step& append(Step::Op op, int source = -1, int target = -1);  // -1: none
    int count() const { return count_; }
    // The steps with the pointers of one sample's memory.
    Steps bind(const Memory& m) const;

private:
    Steps steps_{};
    std::array<int, 2 * kMaxChain + 1> sources_{}, targets_{};
    int count_ = 0;
};

}  // namespace bw
