// Which instruction sets there are, and which one to use.
#pragma once
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace bw {

// The kernels that this processor can run: the reference first, the best instruction set last.
std::vector<const Kernels*> available_kernels();

// Their names.
std::vector<std::string> available_isas();

// The kernels of a name; of the environment variable BITWRIGHT_ISA if the name is empty; of the best if that is, too.
// Throws std::invalid_argument if it cannot be run here.
const Kernels& find_kernels(const std::string& name);

}  // namespace bw
