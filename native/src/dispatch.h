// Which instruction sets there are, and which one to use.
#pragma once
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace bw {

// Names of the instruction sets that this processor can run, the best one last.
std::vector<std::string> available_isas();

// The kernels of a name; of the environment variable BITWRIGHT_ISA if the name is empty; of the best if that is, too.
// Throws std::invalid_argument if it cannot be run here.
const Kernels& find_kernels(const std::string& name);

}  // namespace bw
