// Which ops run as one step.
#pragma once
#include "model.h"

namespace bw {

// single:    one op.
// threshold: a BinaryConv or BinaryLinear and the Threshold on its sums; or a BinaryConv, an integer MaxPool and the
//            Threshold on that, which run as convolution, threshold, pool of bits: a threshold commutes with a maximum.
//            Gated convolutions leave their Threshold to itself.
// tail:      a BinaryConv and the chain that alone reads its sums.
// conv:      a Conv; before it the Affine on the pixels of the input if it alone reads that, behind it the Affine that
//            alone reads its output.
// chain:     elementwise ops, each on the result of the one before, and Binarize and Quantize ops that read one of these
//            results.
struct Group {
    enum Form { single, threshold, tail, conv, chain } form = single;
    std::vector<int> ops;  // in the order in which they run: a Binarize or Quantize directly after what it reads
};

// The groups of all ops, in an order in which each reads only what came before.
std::vector<Group> fuse(const Model& model);

// The ops that read each tensor, in ascending order; an op that reads it twice is named twice.
std::vector<std::vector<int>> find_readers(const Model& model);

bool is_elementwise(OpCode code);  // those that make bits aside
bool makes_bits(OpCode code);      // Binarize and Quantize

// Whether the second operand of a sum or product, too, may be what a chain carries.
bool has_two_mains(const Model& model, const Op& op);

constexpr int kMaxChain = 12;  // ops of one chain

}  // namespace bw
