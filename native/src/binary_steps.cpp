// Steps of binary layers, with the thresholds that follow them.
#include <stdexcept>

#include "builder.h"

namespace bw {
namespace {

// Binary layers keep up with about this many products a nanosecond.
constexpr double kProducts = 500;

double cost_of(const BinaryConvArgs& args) {
    const double taps = double(args.in.c / args.groups) * args.window.kh * args.window.kw;
    return taps * args.input_planes * double(args.out.elements()) / kProducts;
}

// What the input's codes mean, to a BinaryConvArgs or BinaryLinearArgs.
template <class Args> void set_input(Args& args, const TensorType& type) {
    args.input_planes = type.planes();
    args.input_signed = type.kind != Kind::bit;
}

}  // namespace

std::unique_ptr<BinaryConv> Builder::choose(const Op& o, const BinaryConvArgs& args) {
    const auto found = options_.choices.find(o.name);
    const char* choice = found == options_.choices.end() ? nullptr : found->second.c_str();
    std::unique_ptr<BinaryConv> conv;
    if (!choice && options_.tune) conv = tune(o, args);
    if (!conv) conv = kernels_.binary_conv(args, choice);
    if (!conv && (!choice || found->second == "reference")) conv = reference_kernels().binary_conv(args, nullptr);
    if (!conv) {
        throw std::invalid_argument("choices: " + o.name + ": " + kernels_.name + " has no kernel '" + found->second +
                                    "' for this layer.");
    }
    return conv;
}

// The kernel that is known to be the fastest, or that proves to be; null where that cannot be said.
std::unique_ptr<BinaryConv> Builder::tune(const Op& o, const BinaryConvArgs& args) {
    std::unique_ptr<BinaryConv> conv;
    const auto known = options_.known.find(o.name);
    if (known != options_.known.end() && !known->second.empty()) {
        conv = kernels_.binary_conv(args, known->second.c_str());
    }
    if (!conv) conv = tuner_.fastest(args);
    if (conv) plan_.tuned[o.name] = conv->name();
    return conv;
}

// Chooses the kernel, and adds the phase that prepares the input; `to_scratch` is given the buffer of its scratch.
std::shared_ptr<const BinaryConv> Builder::start_conv(int index, const BinaryConvArgs& args, PlanStep& step,
                                                      int& to_scratch) {
    const std::shared_ptr<const BinaryConv> conv = choose(op(index), args);
    step.kernel = conv->name();
    step.scratch_bytes = conv->scratch_bytes();
    if (conv->preparation()) add_change(layout(op(index).inputs[0]), conv->preparation());
    const int x = read(op(index).inputs[0]), scratch = temporary(step.scratch_bytes);
    step.phases.push_back({conv->prepare_units(), cost_of(args) * conv->prepare_share(),
                           [=](const Memory& m, int begin, int end) {
                               conv->prepare(m.at<const uint8_t>(x), m.at<void>(scratch), begin, end);
                           }});
    to_scratch = scratch;
    return conv;
}

void Builder::add_conv_to(int index, const BinaryConvArgs& args, PlanStep& step, int to) {
    int scratch;
    const std::shared_ptr<const BinaryConv> conv = start_conv(index, args, step, scratch);
    add_change(kCounts, layout_name(step.out));
    const double cost = cost_of(args) * (1 - conv->prepare_share());
    step.phases.push_back({conv->channel_units(), cost, [=](const Memory& m, int begin, int end) {
        conv->channels(m.at<const void>(scratch), m.at<void>(to), begin, end);
    }});
}

void Builder::add_conv_through(const Group& group, const BinaryConvArgs& args, PlanStep& step) {
    int scratch;
    const std::shared_ptr<const BinaryConv> conv = start_conv(group.ops[0], args, step, scratch);
    const Chain chain = make_chain(group, 1);
    const double cost = cost_of(args) * (1 - conv->prepare_share());
    step.phases.push_back({conv->channel_units(), cost, [=](const Memory& m, int begin, int end) {
        const Chain::Steps steps = chain.bind(m);
        Tail tail{steps.data(), chain.count()};
        conv->channels(m.at<const void>(scratch), &tail, begin, end);
    }});
}

// What the tail of a group comes to in integers, or null.
const LevelBits* Builder::level_bits(const Group& group, const BinaryConvArgs& args) {
    std::vector<const Op*> tail;
    for (size_t i = 1; i < group.ops.size(); ++i) {
        tail.push_back(&op(group.ops[i]));
        const bool is_last = i + 1 == group.ops.size();
        if (!is_last && is_read_outside(group.ops[i] + 1, group)) return nullptr;
    }
    auto tables = std::make_unique<LevelTables>();
    if (!find_level_bits(args, tail, *tables)) return nullptr;
    plan_.levels.push_back(std::move(tables));
    return &plan_.levels.back()->bits;
}

void Builder::add_binary(const Group& group) {
    const int index = group.ops[0];
    const Op& o = op(index);
    if (o.code == OpCode::binary_linear) return add_binary_linear(group);
    BinaryConvArgs args;
    args.in = input(index).shape, args.out = o.out.shape;
    args.window = o.window, args.groups = o.groups;
    set_input(args, input(index));
    args.weight_signed = o.is_signed;
    args.gate = o.blobs[1].ints();
    Bytes weight = allocate(o.blobs[0].elements);  // kernels pack their own copy
    for (size_t i = 0; i < o.blobs[0].elements; ++i) weight[i] = o.blobs[0].bit(i);
    args.weight = weight.get();
    PlanStep& step = begin(index, "");
    if (group.form == Group::single) return add_conv_to(index, args, step, write(index + 1));
    if (group.form == Group::tail) {
        for (size_t i = 1; i < group.ops.size(); ++i) step.fused.push_back(op(group.ops[i]).name);
        step.out = op(group.ops.back()).out;
        args.tail = true;
        args.levels = level_bits(group, args);
        return add_conv_through(group, args, step);
    }
    const int threshold = group.ops.back();
    args.threshold = op(threshold).blobs[0].ints();
    args.flip = keep_bits(op(threshold).blobs[1]);
    step.fused.push_back(op(threshold).name);
    step.out = {op(threshold).kind, args.out};
    if (group.ops.size() == 2) return add_conv_to(index, args, step, write(threshold + 1));
    const int bits = temporary(step.out.bytes());
    step.writes.push_back({step.out.shape, layout_name(step.out)});
    add_conv_to(index, args, step, bits);
    add_bit_pool(group.ops[1], threshold, bits);
}

// A pool of sums before a threshold, run as a pool of bits behind it. The largest sum reaches the threshold if any
// does, the smallest if all do; a flip turns the bits over, and with them any into all.
void Builder::add_bit_pool(int pool, int threshold, int from) {
    PlanStep& step = begin(pool, kernels_.name);
    const Shape in = input(pool).shape;
    step.in = {op(threshold).kind, in};
    step.out = op(threshold).out;
    uint8_t* take_min = keep(size_t(in.c));
    for (int c = 0; c < in.c; ++c) {
        const bool smallest = op(pool).blobs[0] && op(pool).blobs[0].bit(size_t(c));
        take_min[c] = smallest != op(threshold).blobs[1].bit(size_t(c));
    }
    const PoolArgs args{in, step.out.shape, op(pool).window, true, take_min};
    step.reads.push_back({step.in.shape, layout_name(step.in)});
    touch(from);
    const int y = write(threshold + 1);
    const double cost = double(args.out.elements()) * args.window.kh * args.window.kw * 0.02;
    step.phases.push_back({in.c, cost, [=, run = kernels_.max_pool_bits](const Memory& m, int begin, int end) {
        run(args, m.at<const uint8_t>(from), m.at<uint8_t>(y), begin, end);
    }});
}

// Rows of bits, each filled up with zeros to a multiple of 512: as they lie in the file if they are that long already.
const uint64_t* Builder::rows_of_words(const Blob& bits, int length, int rows) {
    if (length % 512 == 0) return reinterpret_cast<const uint64_t*>(bits.data);
    const size_t words = round_up((size_t(length) + 63) / 64, 8);
    uint64_t* packed = reinterpret_cast<uint64_t*>(keep(size_t(rows) * words * 8));
    for (size_t row = 0, k = 0; row < size_t(rows); ++row) {
        for (size_t i = 0; i < size_t(length); ++i, ++k) {
            packed[row * words + i / 64] |= uint64_t(bits.bit(k)) << (i % 64);
        }
    }
    return packed;
}

void Builder::add_binary_linear(const Group& group) {
    const int index = group.ops[0];
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    BinaryLinearArgs args;
    args.in = input(index).shape.c, args.out = o.out.shape.c;
    set_input(args, input(index));
    args.weight_signed = o.is_signed;
    args.weight = rows_of_words(o.blobs[0], args.in, args.out);
    int result = index;
    if (group.form == Group::threshold) {
        result = group.ops[1];
        args.threshold = op(result).blobs[0].ints();
        args.flip = keep_bits(op(result).blobs[1]);
        step.fused.push_back(op(result).name);
        step.out = op(result).out;
    }
    const int x = read(o.inputs[0]), y = write(result + 1);
    add_change(kCounts, layout_name(step.out));
    const ChannelRange range(step.out.shape);
    const double cost = double(args.in) * args.input_planes * args.out / kProducts;
    step.phases.push_back({range.units(), cost, [=, run = kernels_.binary_linear](const Memory& m, int begin, int end) {
        run(args, m.at<const uint8_t>(x), m.at<void>(y), range.at(begin), range.at(end));
    }});
}

void Builder::add_window_sum(int index) {
    const Op& o = op(index);
    const TensorType& in = input(index);
    PlanStep& step = begin(index, kernels_.name);
    if (!in.shape.vector) {
        BinaryConvArgs args;
        args.in = in.shape, args.out = o.out.shape;
        args.window = o.window, args.groups = o.groups;
        set_input(args, in);
        args.weight_signed = false;
        args.window_sum = true;
        return add_conv_to(index, args, step, write(index + 1));
    }
    // the sum of a vector: a linear layer of one output whose weights are all ones
    BinaryLinearArgs args;
    args.in = in.shape.c, args.out = 1;
    set_input(args, in);
    args.weight_signed = false;
    const size_t words = round_up((size_t(args.in) + 63) / 64, 8);
    uint64_t* weight = reinterpret_cast<uint64_t*>(keep(words * 8));
    for (size_t i = 0; i < size_t(args.in); ++i) weight[i / 64] |= uint64_t(1) << (i % 64);
    args.weight = weight;
    const int x = read(o.inputs[0]), y = write(index + 1);
    step.phases.push_back({1, 0, [=, run = kernels_.binary_linear](const Memory& m, int, int) {
        run(args, m.at<const uint8_t>(x), m.at<void>(y), 0, 1);
    }});
}

}  // namespace bw
