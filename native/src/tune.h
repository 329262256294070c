// Chooses the kernels of binary convolutions by timing them, when a model is loaded.
#pragma once
#include <chrono>

#include "kernels/kernels.h"

namespace bw {

class Tuner {
public:
    explicit Tuner(const Kernels& kernels) : kernels_(kernels) {}

    // The fastest of the kernels that take these arguments, on one thread and noise; the one that the estimate prefers
    // where none is faster by more than 3 %. Results do not depend on the choice. Null if there are no such kernels, or
    // if the tuner has spent its time already.
    std::unique_ptr<BinaryConv> fastest(const BinaryConvArgs& args);

private:
    const Kernels& kernels_;
    std::chrono::duration<double> spent_{0};
};

}  // namespace bw
