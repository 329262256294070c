// Steps that rearrange, pool or convert.
#include "builder.h"

namespace bw {

void Builder::add_max_pool(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    const PoolArgs args{input(index).shape, o.out.shape, o.window, true, keep_bits(o.blobs[0])};
    const int x = read(o.inputs[0]), y = write(index + 1);
    const Kernels& k = kernels_;
    const double cost = double(args.out.elements()) * o.window.kh * o.window.kw * (o.out.is_bits() ? 0.02 : 0.1);
    std::function<void(const Memory&, int, int)> run;
    if (o.out.is_bits()) {
        run = [=, pool = k.max_pool_bits](const Memory& m, int begin, int end) {
            pool(args, m.at<const uint8_t>(x), m.at<uint8_t>(y), begin, end);
        };
    } else if (o.out.kind == Kind::sum) {
        run = [=, pool = k.max_pool_sum](const Memory& m, int begin, int end) {
            pool(args, m.at<const int32_t>(x), m.at<int32_t>(y), begin, end);
        };
    } else {
        run = [=, pool = k.max_pool_real](const Memory& m, int begin, int end) {
            pool(args, m.at<const float>(x), m.at<float>(y), begin, end);
        };
    }
    step.phases.push_back({args.in.c, cost, std::move(run)});
}

void Builder::add_threshold(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, kernels_.name);
    const Shape shape = o.out.shape;
    const int32_t* threshold = o.blobs[0].ints();
    const uint8_t* flip = keep_bits(o.blobs[1]);
    const int x = read(o.inputs[0]), y = write(index + 1);
    add_change(layout(op(index).inputs[0]), layout(index + 1));
    const ChannelRange range(shape);
    const double cost = double(shape.elements()) * 0.1;
    step.phases.push_back({range.units(), cost, [=, run = kernels_.threshold](const Memory& m, int begin, int end) {
        run(shape, m.at<const int32_t>(x), threshold, flip, m.at<uint8_t>(y), range.at(begin), range.at(end));
    }});
}

void Builder::add_thermometer(int index) {
    PlanStep& step = begin(index, kernels_.name);
    const Blob& thresholds = op(index).blobs[0];
    const Shape in = input(index).shape;
    const int x = read(op(index).inputs[0]), y = write(index + 1);
    add_change(layout(op(index).inputs[0]), layout(index + 1));
    const int channels = op(index).out.shape.c;
    const double cost = double(op(index).out.shape.elements()) * 0.02;
    step.phases.push_back({channels, cost, [=, run = kernels_.thermometer](const Memory& m, int begin, int end) {
        run(in, m.at<const uint8_t>(x), thresholds.shorts(), int(thresholds.elements), m.at<uint8_t>(y), begin, end);
    }});
}

void Builder::add_decode(int index) {
    PlanStep& step = begin(index, kernels_.name);
    const Shape shape = op(index).out.shape;
    const Kind kind = input(index).kind;
    const int x = read(op(index).inputs[0]), y = write(index + 1);
    add_change(layout(op(index).inputs[0]), layout(index + 1));
    const ChannelRange range(shape);
    const double cost = double(shape.elements()) * 0.1;
    step.phases.push_back({range.units(), cost, [=, run = kernels_.decode](const Memory& m, int begin, int end) {
        run(shape, kind, m.at<const uint8_t>(x), m.at<float>(y), range.at(begin), range.at(end));
    }});
}

void Builder::add_flatten(int index) {
    if (root_[index + 1] != index + 1) return;  // the same bytes under another name
    PlanStep& step = begin(index, kernels_.name);
    const Shape in = input(index).shape;
    const int x = read(op(index).inputs[0]), y = write(index + 1);
    add_change(layout(op(index).inputs[0]), layout(index + 1));
    const size_t from = in.plane_bytes(), to = op(index).out.shape.plane_bytes();
    const int planes = input(index).planes();
    step.phases.push_back({planes, 0, [=, run = kernels_.flatten_bits](const Memory& m, int begin, int end) {
        for (int i = begin; i < end; ++i) run(in, m.at<const uint8_t>(x) + i * from, m.at<uint8_t>(y) + i * to);
    }});
}

void Builder::add_pad_channels(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, "copy");
    const int x = read(o.inputs[0]), y = write(index + 1);
    const size_t plane = o.out.shape.pixels(), before = o.before * plane, after = o.after * plane;
    const size_t own = input(index).shape.elements();
    step.phases.push_back({1, 0, [=](const Memory& m, int, int) {
        float* out = m.at<float>(y);
        std::memset(out, 0, before * sizeof(float));
        std::memcpy(out + before, m.at<const float>(x), own * sizeof(float));
        std::memset(out + before + own, 0, after * sizeof(float));
    }});
}

namespace {

// Appends a row of bits behind the first `at` bits of another; the bits behind these are zeros.
void append_bits(uint8_t* row, size_t at, const uint8_t* bits, size_t count) {
    const size_t shift = at % 8;
    for (size_t i = 0; i < (count + 7) / 8; ++i) {
        row[at / 8 + i] |= uint8_t(bits[i] << shift);
        if (shift && i * 8 + 8 - shift < count) row[at / 8 + i + 1] |= uint8_t(bits[i] >> (8 - shift));
    }
}

}  // namespace

void Builder::add_concat(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, "copy");
    struct Part {
        int buffer;
        size_t size;   // of a plane: bytes, or bits of a vector of bits
        size_t plane;  // bytes from one plane to the next
    };
    std::vector<Part> parts;
    const bool bit_row = o.out.is_bits() && o.out.shape.vector;
    const int planes = o.out.is_bits() ? o.out.planes() : 1;
    for (size_t i = 0; i < o.inputs.size(); ++i) {
        const TensorType& type = input(index, int(i));
        const size_t plane = type.bytes() / size_t(planes);
        parts.push_back({read(o.inputs[i]), bit_row ? size_t(type.shape.c) : plane, plane});
    }
    const int y = write(index + 1);
    const size_t bytes = o.out.bytes() / size_t(planes);
    step.phases.push_back({planes, 0, [=](const Memory& m, int begin, int end) {
        for (int i = begin; i < end; ++i) {
            uint8_t* out = m.at<uint8_t>(y) + i * bytes;
            if (bit_row) std::memset(out, 0, bytes);
            size_t at = 0;
            for (const Part& part : parts) {
                const uint8_t* from = m.at<const uint8_t>(part.buffer) + i * part.plane;
                if (bit_row) {
                    append_bits(out, at, from, part.size);
                } else {
                    std::memcpy(out + at, from, part.size);
                }
                at += part.size;
            }
        }
    }});
}

void Builder::add_channels(int index) {
    const Op& o = op(index);
    PlanStep& step = begin(index, "copy");
    const int32_t* from = o.blobs[0].ints();
    const int x = read(o.inputs[0]), y = write(index + 1);
    const int count = o.out.shape.c;
    if (o.out.is_bits() && o.out.shape.vector) {
        const size_t bytes = o.out.bytes();
        step.phases.push_back({1, double(count), [=](const Memory& m, int, int) {
            const uint8_t* bits = m.at<const uint8_t>(x);
            uint8_t* out = m.at<uint8_t>(y);
            std::memset(out, 0, bytes);
            for (int i = 0; i < count; ++i) out[i / 8] |= uint8_t((bits[from[i] / 8] >> (from[i] % 8) & 1) << (i % 8));
        }});
        return;
    }
    if (o.out.shape.vector && o.out.kind != Kind::pixel) {
        step.phases.push_back({count, double(count), [=](const Memory& m, int begin, int end) {
            for (int i = begin; i < end; ++i) m.at<int32_t>(y)[i] = m.at<const int32_t>(x)[from[i]];
        }});
        return;
    }
    const size_t plane = o.out.bytes() / size_t(count);
    step.phases.push_back({count, double(o.out.bytes()) * 0.05, [=](const Memory& m, int begin, int end) {
        for (int i = begin; i < end; ++i) {
            std::memcpy(m.at<uint8_t>(y) + i * plane, m.at<const uint8_t>(x) + from[i] * plane, plane);
        }
    }});
}

// The output is the input under another name.
void Builder::add_copy() {
    PlanStep& step = begin(int(model_.ops.size()) - 1, "copy");
    step.reads = step.writes = {{model_.input.shape, layout(0)}};
    const size_t bytes = model_.input.bytes();
    step.phases.push_back({1, 0, [=](const Memory& m, int, int) {
        std::memcpy(m.at<uint8_t>(kOutput), m.at<const uint8_t>(kInput), bytes);
    }});
}

}  // namespace bw
