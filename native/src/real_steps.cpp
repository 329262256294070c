// Steps of real-valued layers and elementwise chains.
#include <algorithm>

#include "axis_classes.h"
#include "builder.h"

namespace bw {

void Builder::add_conv(const Group& group) {
    const auto is_conv = [&](int member) { return op(member).code == OpCode::conv; };
    const auto found = std::find_if(group.ops.begin(), group.ops.end(), is_conv);
    const int index = *found, last = group.ops.back();
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    step.out = op(last).out;
    ConvArgs args;
    args.in = input(index).shape, args.out = o.out.shape;
    args.window = o.window, args.groups = o.groups;
    args.bias = o.blobs[1].floats();
    int source = o.inputs[0];
    if (found != group.ops.begin()) {
        const Op& affine = op(group.ops[0]);
        args.pixel_scale = affine.blobs[0].floats();
        args.pixel_shift = affine.blobs[1].floats();
        source = affine.inputs[0];
        step.in = model_.type(source);
        step.fused.push_back(affine.name);
    }
    if (last != index) {
        args.scale = op(last).blobs[0].floats();
        args.shift = op(last).blobs[1].floats();
        step.fused.push_back(op(last).name);
    }
    const int x = read(source), y = write(last + 1);
    uint8_t* packed = keep(kernels_.conv_weight_bytes(args));
    kernels_.pack_conv(args, o.blobs[0].floats(), packed);
    args.weight = packed;
    const size_t copy_bytes = kernels_.conv_copy_bytes(args), own_bytes = kernels_.conv_scratch_bytes(args);
    step.scratch_bytes = copy_bytes + own_bytes;
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, round_up(own_bytes, 64));
    const int copy = copy_bytes ? temporary(copy_bytes) : x;
    if (copy_bytes) {
        add_change(layout(source), "padded copy, float32");
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

void Builder::add_pixel_conv(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    PixelConvArgs args;
    args.in = input(index).shape, args.out = o.out.shape, args.window = o.window;
    args.weight = o.blobs[0].shorts(), args.scale = o.blobs[1].floats(), args.shift = o.blobs[2].floats();
    const AxisClasses rows = row_classes(args.in.h, args.out.h, o.window);
    const AxisClasses columns = column_classes(args.in.w, args.out.w, o.window);
    int* classes = reinterpret_cast<int*>(keep((size_t(args.out.h) + args.out.w) * sizeof(int)));
    rows.fill(classes, args.out.h), columns.fill(classes + args.out.h, args.out.w);
    args.row_class = classes, args.column_class = classes + args.out.h;
    args.row_classes = rows.count(), args.column_classes = columns.count();
    const int x = read(o.inputs[0]), y = write(index + 1);
    add_change(layout(o.inputs[0]), "pairs of pixels, int16");
    uint8_t* packed = keep(kernels_.pixel_conv_bytes(args));
    kernels_.pack_pixel_conv(args, packed);
    args.packed = packed;
    const size_t scratch = kernels_.pixel_conv_scratch_bytes(args);
    step.scratch_bytes = scratch;
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, round_up(scratch, 64));
    const double cost = double(o.blobs[0].elements) * double(args.out.pixels()) * 0.01;
    step.phases.push_back({args.out.h, cost, [=, conv = kernels_.pixel_conv](const Memory& m, int begin, int end) {
        conv(args, m.at<const uint8_t>(x), m.at<float>(y), begin, end, m.scratch);
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
