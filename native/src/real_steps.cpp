// Steps of real-valued layers and elementwise chains.
#include <array>

#include "builder.h"

namespace bw {

void Builder::add_conv(const Group& group) {
    const int index = group.ops.back();
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    ConvArgs args;
    args.in = input(index).shape, args.out = o.out.shape;
    args.window = o.window, args.groups = o.groups;
    args.bias = o.blobs[1].floats();
    int source = o.inputs[0];
    if (group.form == Group::pixel_conv) {
        const Op& affine = op(group.ops[0]);
        args.pixel_scale = affine.blobs[0].floats();
        args.pixel_shift = affine.blobs[1].floats();
        source = affine.inputs[0];
        step.in = model_.type(source);
        step.fused.push_back(affine.name);
    }
    const int x = read(source), y = write(index + 1);
    uint8_t* packed = keep(kernels_.conv_weight_bytes(args));
    kernels_.pack_conv(args, o.blobs[0].floats(), packed);
    args.weight = packed;
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, round_up(kernels_.conv_scratch_bytes(args), 64));
    const size_t copy_bytes = kernels_.conv_copy_bytes(args);
    const int copy = copy_bytes ? temporary(copy_bytes) : x;
    if (copy_bytes) {
        const double cost = double(args.in.elements()) * 0.2;
        step.phases.push_back({args.in.c, cost, [=, fill = kernels_.conv_fill](const Memory& m, int begin, int end) {
            fill(args, m.at<const void>(x), m.at<float>(copy), begin, end);
        }});
    }
    const int units = kernels_.conv_units(args);
    const double cost = double(o.blobs[0].elements) * double(args.out.pixels()) * 0.02;
    step.phases.push_back({units, cost, [=, conv = kernels_.conv](const Memory& m, int begin, int end) {
        conv(args, m.at<const void>(x), m.at<const float>(copy), m.at<float>(y), begin, end, m.scratch);
    }});
}

void Builder::add_linear(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    const LinearArgs args{input(index).shape.c, o.out.shape.c, o.blobs[0].floats(), o.blobs[1].floats()};
    const int x = read(o.inputs[0]), y = write(index + 1);
    const double cost = double(args.in) * args.out * 0.1;
    step.phases.push_back({args.out, cost, [=, linear = kernels_.linear](const Memory& m, int begin, int end) {
        linear(args, m.at<const float>(x), m.at<float>(y), begin, end);
    }});
}

void Builder::add_mean(int index) {
    const Shape shape = input(index).shape;
    PlanStep& step = begin(index, kernels_.name);
    const int x = read(op(index).inputs[0]), y = write(index + 1);
    const double cost = double(shape.elements()) * 0.1;
    step.phases.push_back({shape.c, cost, [=, mean = kernels_.mean](const Memory& m, int begin, int end) {
        mean(m.at<const float>(x), m.at<float>(y), shape.pixels(), begin, end);
    }});
}

void Builder::add_avg_pool(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    const PoolArgs args{input(index).shape, o.out.shape, o.window, o.count_padding, nullptr};
    const int x = read(o.inputs[0]), y = write(index + 1);
    const double cost = double(args.out.elements()) * o.window.kh * o.window.kw * 0.1;
    step.phases.push_back({args.in.c, cost, [=, pool = kernels_.avg_pool](const Memory& m, int begin, int end) {
        pool(args, m.at<const float>(x), m.at<float>(y), begin, end);
    }});
}

namespace {

constexpr int kMaxSteps = 2 * kMaxChain + 1;  // a load, then each op and perhaps a store

// A chain whose pointers are still numbers of buffers.
struct Chain {
    std::array<Step, kMaxSteps> steps{};
    std::array<int, kMaxSteps> sources{}, targets{};  // -1: none
    int count = 0;

    Step& append(Step::Op op, int source = -1, int target = -1) {
        sources[count] = source;
        targets[count] = target;
        steps[count].op = op;
        return steps[count++];
    }

    // The steps with the pointers of one sample's memory.
    std::array<Step, kMaxSteps> bind(const Memory& m) const {
        std::array<Step, kMaxSteps> bound = steps;
        for (int i = 0; i < count; ++i) {
            if (sources[i] >= 0) bound[i].source = m.at<const void>(sources[i]);
            if (targets[i] >= 0) bound[i].target = m.at<void>(targets[i]);
        }
        return bound;
    }
};

}  // namespace

void Builder::add_chain(const Group& group) {
    PlanStep& step = begin(group.ops[0], kernels_.name);
    Chain chain;
    int tail = op(group.ops[0]).inputs[0];
    const Kind kind = model_.type(tail).kind;
    const Step::Op load = kind == Kind::sum ? Step::load_sum : kind == Kind::pixel ? Step::load_pixel : Step::load_real;
    chain.append(load, read(tail));
    for (int index : group.ops) {
        const Op& o = op(index);
        switch (o.code) {
            case OpCode::affine: {
                Step& s = chain.append(Step::affine);
                s.a = o.blobs[0].floats(), s.b = o.blobs[1].floats();
                break;
            }
            case OpCode::level_sum: {
                Step& s = chain.append(Step::level_sum, read(o.inputs[1]));
                s.a = o.blobs[0].floats(), s.b = o.blobs[1].floats(), s.c = o.blobs[2].floats();
                s.channels_per_group = o.out.shape.c / input(index, 1).shape.c;
                break;
            }
            case OpCode::add: chain.append(Step::add, read(o.inputs[o.inputs[0] == tail ? 1 : 0])); break;
            case OpCode::prelu: chain.append(Step::prelu).a = o.blobs[0].floats(); break;
            case OpCode::clamp: {
                Step& s = chain.append(Step::clamp);
                s.low = o.low, s.high = o.high;
                break;
            }
            default:  // Binarize, which leaves the tail as it is
                chain.append(Step::binarize, -1, write(index + 1)).a = o.blobs[0].floats();
                continue;
        }
        tail = index + 1;
        if (is_read_outside(tail, group)) chain.append(Step::store, -1, write(tail));
    }
    for (size_t i = 1; i < group.ops.size(); ++i) step.fused.push_back(op(group.ops[i]).name);
    step.out = op(group.ops.back()).out;
    const Shape shape = step.in.shape;
    const ChannelRange range(shape);
    const double cost = double(shape.elements()) * chain.count * 0.1;
    step.phases.push_back({range.units(), cost, [=, run = kernels_.elementwise](const Memory& m, int begin, int end) {
        run(shape, chain.bind(m).data(), chain.count, range.at(begin), range.at(end));
    }});
}

}  // namespace bw
