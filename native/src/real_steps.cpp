// Steps of real-valued layers and elementwise chains.
#include "builder.h"

namespace bw {

void Builder::add_conv(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    ConvArgs args{input(index).shape, o.out.shape, o.window, o.groups, nullptr, o.blobs[1].floats()};
    float* packed = reinterpret_cast<float*>(keep(kernels_.conv_weight_bytes(args)));
    kernels_.pack_conv(args, o.blobs[0].floats(), packed);
    args.weight = packed;
    step.scratch_bytes = kernels_.conv_scratch_bytes(args);
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, round_up(step.scratch_bytes, 64));
    if (step.scratch_bytes) add_change(layout_name(input(index)), "padded copy");
    const int x = read(o.inputs[0]), y = write(index + 1);
    const double products = double(o.blobs[0].elements) * double(args.out.pixels());
    step.phases.push_back({args.out.c, products * 0.03, [=, conv = kernels_.conv](const Memory& m, int begin, int end) {
        conv(args, m.at<const float>(x), m.at<float>(y), begin, end, m.scratch);
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

void Builder::add_chain(const Group& group) {
    PlanStep& step = begin(group.ops[0], kernels_.name);
    const Chain chain = make_chain(group, 0);
    for (size_t i = 1; i < group.ops.size(); ++i) step.fused.push_back(op(group.ops[i]).name);
    step.out = op(group.ops.back()).out;
    const Shape shape = step.in.shape;
    const ChannelRange range(shape);
    const double cost = double(shape.elements()) * chain.count() * 0.1;
    step.phases.push_back({range.units(), cost, [=, run = kernels_.elementwise](const Memory& m, int begin, int end) {
        run(shape, chain.bind(m).data(), chain.count(), range.at(begin), range.at(end));
    }});
}

}  // namespace bw
