#include "plan.h"

#include <algorithm>
#include <stdexcept>

#include "builder.h"

namespace bw {

std::string layout_name(const TensorType& type, bool is_short) {
    const std::string order = type.shape.vector ? "row of " : type.is_bits() ? "sliced " : "planar ";
    switch (type.kind) {
        case Kind::real: return order + (is_short ? "int16 (fixed point)" : "float32");
        case Kind::pixel: return order + "uint8";
        case Kind::sum: return order + "int32 (sums)";
        case Kind::sign:
        case Kind::bit: break;
        case Kind::digit: return order + "digits (2 planes of bits)";
    }
    return order + "bits";
}

Plan make_plan(const Model& model, const Kernels& kernels, const PlanOptions& options) {
    for (const auto& choice : options.choices) {
        const bool found = std::any_of(model.ops.begin(), model.ops.end(), [&](const Op& op) {
            return op.name == choice.first && (op.code == OpCode::binary_conv || op.code == OpCode::window_sum);
        });
        if (!found) {
            throw std::invalid_argument("choices: expected names of binary convolutions, found '" + choice.first +
                                        "'.");
        }
    }
    return Builder(model, kernels, options).build();
}

Plan Builder::build() {
    plan_.buffers.resize(2);
    root_.resize(model_.ops.size() + 1);
    for (size_t tensor = 0; tensor < root_.size(); ++tensor) {
        root_[tensor] = int(tensor);
        if (tensor == 0) continue;
        const Op& maker = op(int(tensor) - 1);
        // planar tensors have the same bytes flat or not
        const bool changes_shape = maker.code == OpCode::flatten || maker.code == OpCode::unflatten;
        if (changes_shape && !maker.out.is_bits()) root_[tensor] = root_[maker.inputs[0]];
    }
    buffer_of_.assign(root_.size(), -1);
    buffer_of_[0] = kInput;
    const int output = root_[model_.output()];
    if (output != 0) buffer_of_[output] = kOutput;

    for (const Group& group : fuse(model_)) {
        switch (group.form) {
            case Group::threshold:
            case Group::tail: add_binary(group); break;
            case Group::conv: add_conv(group); break;
            case Group::chain: add_chain(group); break;
            case Group::single: add_single(group.ops[0]); break;
        }
    }
    if (output == 0) add_copy();
    plan_.buffers[kInput].bytes = plan_.buffers[kOutput].bytes = 0;
    plan_.arena_bytes = place(plan_.buffers);
    return std::move(plan_);
}

void Builder::add_single(int index) {
    switch (op(index).code) {
        case OpCode::conv: return add_conv({Group::conv, {index}});
        case OpCode::linear: return add_linear(index);
        case OpCode::mean: return add_mean(index);
        case OpCode::avg_pool: return add_avg_pool(index);
        case OpCode::pixel_conv: return add_pixel_conv(index);
        case OpCode::thermometer: return add_thermometer(index);
        case OpCode::binary_conv:
        case OpCode::binary_linear: return add_binary({Group::single, {index}});
        case OpCode::window_sum: return add_window_sum(index);
        case OpCode::max_pool: return add_max_pool(index);
        case OpCode::threshold: return add_threshold(index);
        case OpCode::decode: return add_decode(index);
        case OpCode::flatten: return add_flatten(index);
        case OpCode::unflatten: return;  // the same bytes under another name
        case OpCode::pad_channels: return add_pad_channels(index);
        case OpCode::concat: return add_concat(index);
        case OpCode::channels: return add_channels(index);
        case OpCode::affine:
        case OpCode::level_sum:
        case OpCode::add:
        case OpCode::multiply:
        case OpCode::sigmoid:
        case OpCode::tanh:
        case OpCode::shift:
        case OpCode::prelu:
        case OpCode::clamp:
        case OpCode::fixed_point:
        case OpCode::binarize:
        case OpCode::quantize: return add_chain({Group::chain, {index}});
    }
}

PlanStep& Builder::begin(int index, const char* kernel) {
    PlanStep step;
    step.name = op(index).name;
    step.op = op(index).code;
    step.kernel = kernel;
    step.in = input(index);
    step.out = op(index).out;
    plan_.steps.push_back(std::move(step));
    return plan_.steps.back();
}

int Builder::touch(int buffer) {
    Buffer& b = plan_.buffers[buffer];
    const int now = int(plan_.steps.size()) - 1;
    if (now > b.last) b.last = now;
    return buffer;
}

int Builder::read(int tensor) {
    plan_.steps.back().reads.push_back({model_.type(tensor).shape, layout(tensor)});
    return touch(buffer_of_[root_[tensor]]);
}

int Builder::write(int tensor) {
    int& buffer = buffer_of_[root_[tensor]];
    const size_t bytes = model_.type(tensor).bytes();
    if (buffer < 0) buffer = temporary(is_short(tensor) ? bytes / 2 : bytes);
    plan_.steps.back().writes.push_back({model_.type(tensor).shape, layout(tensor)});
    return touch(buffer);
}

void Builder::add_change(const std::string& from, const std::string& to) {
    plan_.steps.back().changes.push_back(from + " -> " + to);
}

int Builder::temporary(size_t bytes) {
    const int now = int(plan_.steps.size()) - 1;
    plan_.buffers.push_back({bytes, now, now, 0});
    return int(plan_.buffers.size()) - 1;
}

uint8_t* Builder::keep(size_t bytes) {
    plan_.constants.push_back(allocate(bytes));
    std::memset(plan_.constants.back().get(), 0, bytes);
    return plan_.constants.back().get();
}

uint8_t* Builder::keep_bits(const Blob& blob) {
    if (!blob) return nullptr;
    uint8_t* bytes = keep(blob.elements);
    for (size_t i = 0; i < blob.elements; ++i) bytes[i] = blob.bit(i);
    return bytes;
}

bool Builder::is_read_outside(int tensor, const Group& group) const {
    const std::vector<int>& readers = readers_[tensor];
    return tensor == model_.output() || std::any_of(readers.begin(), readers.end(), [&](int reader) {
        return std::find(group.ops.begin(), group.ops.end(), reader) == group.ops.end();
    });
}

}  // namespace bw
