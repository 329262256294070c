// A checked graph: what a file says, with the types of all tensors. Parameters point into the file's bytes.
#pragma once
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "file.h"
#include "tensor.h"

namespace bw {

// The bytes are not a bitwright file of this version, or are damaged.
struct FormatError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The opcodes of the file (src/bitwright/format/spec.py).
enum class OpCode : int {
    affine = 1, level_sum, add, prelu, clamp, binarize, threshold, decode, conv, binary_conv, window_sum, linear,
    binary_linear, max_pool, avg_pool, mean, flatten, pad_channels, concat, fixed_point, quantize, pixel_conv,
    thermometer, multiply, sigmoid, tanh, channels, shift, unflatten
};
constexpr int kOpCodes = 29;

const char* op_name(OpCode code);  // the class in src/bitwright/ir/ops.py; null of a number that no op has

// A parameter in the file's own encoding: float32, int32, int16, or bits packed lowest first.
struct Blob {
    const uint8_t* data = nullptr;
    size_t elements = 0;
    size_t filters = 0;     // of a real weight that the file holds in an encoding by filters (real_code.h), else 0
    uint32_t encoding = 0;  // in the file (layout.h)

    explicit operator bool() const { return data != nullptr; }
    const float* floats() const { return reinterpret_cast<const float*>(data); }
    const int32_t* ints() const { return reinterpret_cast<const int32_t*>(data); }
    const int16_t* shorts() const { return reinterpret_cast<const int16_t*>(data); }
    bool bit(size_t i) const { return data[i / 8] >> (i % 8) & 1; }
};

struct TensorType {
    Kind kind = Kind::real;
    Shape shape;

    int planes() const { return kind == Kind::digit ? 2 : kind == Kind::sign || kind == Kind::bit ? 1 : 0; }
    bool is_bits() const { return planes() > 0; }
    size_t bytes() const {
        if (is_bits()) return size_t(planes()) * shape.plane_bytes();
        return shape.elements() * (kind == Kind::pixel ? 1 : 4);
    }
};

// Tensor 0 is the input of the graph, tensor i + 1 the output of op i.
struct Op {
    OpCode code = OpCode::add;
    std::string name, note;
    std::vector<int> inputs;
    Blob blobs[4];  // in the order of spec.py
    Window window;
    int groups = 1;
    bool is_signed = false, count_padding = false;
    Kind kind = Kind::real;  // of the bits that Binarize and Threshold make
    int before = 0, after = 0, fraction = 0, height = 0, width = 0;
    float low = 0, high = 0;
    TensorType out;
};

struct Model {
    SharedBytes bytes;                 // of the file
    std::vector<SharedBytes> decoded;  // weights that the file holds in another encoding
    TensorType input;
    std::string input_name;
    std::vector<Op> ops;  // the last one makes the output
    std::vector<std::pair<std::string, std::string>> meta;

    const TensorType& type(int tensor) const { return tensor == 0 ? input : ops[tensor - 1].out; }
    int output() const { return int(ops.size()); }
};

}  // namespace bw
