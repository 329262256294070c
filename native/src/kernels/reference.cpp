// The specification: every kernel as one plain loop, element by element and bit by bit.
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels.h"

namespace bw {
namespace {

// Calls visit(pixel of the input, tap) for each tap inside the image, in row-major order.
template <class Visit>
void each_tap(const Shape& in, const Window& window, int oy, int ox, Visit visit) {
    for (int ky = 0; ky < window.kh; ++ky) {
        const int iy = oy * window.sh - window.ph + ky * window.dh;
        for (int kx = 0; kx < window.kw; ++kx) {
            const int ix = ox * window.sw - window.pw + kx * window.dw;
            if (iy >= 0 && iy < in.h && ix >= 0 && ix < in.w) visit(size_t(iy) * in.w + ix, ky * window.kw + kx);
        }
    }
}

bool get_bit(const Shape& map, const uint8_t* bits, int channel, size_t pixel) {
    const size_t row = pixel / map.w, column = pixel % map.w;
    return bits[channel * map.stride() + row * map.pitch() + column / 8] >> (column % 8) & 1;
}

void put_bit(const Shape& shape, uint8_t* bits, int channel, size_t pixel, bool value) {
    const Shape map = shape.bits();
    if (shape.vector) pixel = size_t(channel), channel = 0;
    const size_t row = pixel / map.w, column = pixel % map.w;
    bits[channel * map.stride() + row * map.pitch() + column / 8] |= uint8_t(value) << (column % 8);
}

// Zeroes the bits of channels [begin, end) and the padding that belongs to them.
void clear_bits(const Shape& shape, uint8_t* bits, int begin, int end) {
    const size_t stride = shape.bits().stride();
    const size_t from = shape.vector ? size_t(begin) / 8 : begin * stride;
    const size_t to = shape.vector ? (end == shape.c ? stride : size_t(end) / 8) : end * stride;
    std::memset(bits + from, 0, to - from);
}

size_t conv_weight_bytes(const ConvArgs& args) {
    return size_t(args.out.c) * (args.in.c / args.groups) * args.window.kh * args.window.kw * sizeof(float);
}

void pack_conv(const ConvArgs& args, const float* weight, void* packed) {
    std::memcpy(packed, weight, conv_weight_bytes(args));
}

size_t conv_copy_bytes(const ConvArgs&) { return 0; }

size_t conv_scratch_bytes(const ConvArgs&) { return 0; }

void conv_fill(const ConvArgs&, const void*, float*, int, int) {}

int conv_units(const ConvArgs& args) { return args.out.c; }

float conv_input(const ConvArgs& args, const void* x, int channel, size_t pixel) {
    const size_t at = channel * args.in.pixels() + pixel;
    if (!args.pixel_scale) return static_cast<const float*>(x)[at];
    const float scaled = float(static_cast<const uint8_t*>(x)[at]) * args.pixel_scale[channel];
    return args.pixel_shift ? scaled + args.pixel_shift[channel] : scaled;
}

void conv(const ConvArgs& args, const void* x, const float*, float* y, int begin, int end, void*) {
    const int in_group = args.in.c / args.groups, out_group = args.out.c / args.groups;
    const size_t taps = size_t(args.window.kh) * args.window.kw;
    for (int o = begin; o < end; ++o) {
        const float* filter = static_cast<const float*>(args.weight) + o * in_group * taps;
        const int first = o / out_group * in_group;
        for (int oy = 0; oy < args.out.h; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                float sum = 0;
                for (int i = 0; i < in_group; ++i) {
                    each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int tap) {
                        sum += filter[i * taps + tap] * conv_input(args, x, first + i, pixel);
                    });
                }
                if (args.bias) sum += args.bias[o];
                if (args.scale) sum *= args.scale[o];
                if (args.shift) sum += args.shift[o];
                y[o * args.out.pixels() + size_t(oy) * args.out.w + ox] = sum;
            }
        }
    }
}

size_t pixel_conv_bytes(const PixelConvArgs&) { return 0; }

void pack_pixel_conv(const PixelConvArgs&, void*) {}

size_t pixel_conv_scratch_bytes(const PixelConvArgs&) { return 0; }

void pixel_conv(const PixelConvArgs& args, const uint8_t* x, float* y, int begin, int end, void*) {
    const size_t taps = size_t(args.window.kh) * args.window.kw;
    for (int o = 0; o < args.out.c; ++o) {
        const int16_t* filter = args.weight + o * args.in.c * taps;
        for (int oy = begin; oy < end; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                int32_t sum = 0;
                for (int i = 0; i < args.in.c; ++i) {
                    each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int tap) {
                        sum += filter[i * taps + tap] * x[i * args.in.pixels() + pixel];
                    });
                }
                float value = float(sum) * args.scale[o];
                if (args.shift) {
                    const size_t row = size_t(o) * args.row_classes + args.row_class[oy];
                    value += args.shift[row * args.column_classes + args.column_class[ox]];
                }
                y[o * args.out.pixels() + size_t(oy) * args.out.w + ox] = value;
            }
        }
    }
}

float fold(float lanes[16]) {
    for (int half = 8; half > 0; half /= 2) {
        for (int l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    }
    return lanes[0];
}

void linear(const LinearArgs& args, const float* x, float* y, int begin, int end) {
    for (int o = begin; o < end; ++o) {
        float lanes[16] = {};
        for (int k = 0; k < args.in; ++k) lanes[k % 16] += args.weight[size_t(o) * args.in + k] * x[k];
        y[o] = fold(lanes);
        if (args.bias) y[o] += args.bias[o];
    }
}

void mean(const float* x, float* y, size_t pixels, int begin, int end) {
    for (int c = begin; c < end; ++c) {
        float lanes[16] = {};
        for (size_t k = 0; k < pixels; ++k) lanes[k % 16] += x[c * pixels + k];
        y[c] = fold(lanes) / float(pixels);
    }
}

void avg_pool(const PoolArgs& args, const float* x, float* y, int begin, int end) {
    for (int c = begin; c < end; ++c) {
        for (int oy = 0; oy < args.out.h; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                float sum = 0;
                int inside = 0;
                each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int) {
                    sum += x[c * args.in.pixels() + pixel];
                    ++inside;
                });
                const int count = args.count_padding ? args.window.kh * args.window.kw : inside;
                y[c * args.out.pixels() + size_t(oy) * args.out.w + ox] = sum / float(count);
            }
        }
    }
}

template <class T>
void max_pool(const PoolArgs& args, const T* x, T* y, int begin, int end) {
    for (int c = begin; c < end; ++c) {
        const bool take_min = args.take_min && args.take_min[c];
        for (int oy = 0; oy < args.out.h; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                T best{};
                bool first = true;
                each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int) {
                    const T value = x[c * args.in.pixels() + pixel];
                    if (first || (take_min ? value < best : value > best)) best = value;
                    first = false;
                });
                y[c * args.out.pixels() + size_t(oy) * args.out.w + ox] = best;
            }
        }
    }
}

void max_pool_bits(const PoolArgs& args, const uint8_t* x, uint8_t* y, int begin, int end) {
    clear_bits(args.out, y, begin, end);
    for (int c = begin; c < end; ++c) {
        const bool take_min = args.take_min && args.take_min[c];
        for (int oy = 0; oy < args.out.h; ++oy) {
            for (int ox = 0; ox < args.out.w; ++ox) {
                bool any = false, all = true;
                each_tap(args.in, args.window, oy, ox, [&](size_t pixel, int) {
                    const bool bit = get_bit(args.in, x, c, pixel);
                    any = any || bit;
                    all = all && bit;
                });
                put_bit(args.out, y, c, size_t(oy) * args.out.w + ox, take_min ? all : any);
            }
        }
    }
}

// The nearest integer of 16 bits, as a float.
float nearest(float v) {
    v = v > -32768 ? v : -32768;
    v = v < 32767 ? v : 32767;
    return (v + kWhole) - kWhole;
}

float operand(const Shape& shape, const Step& step, int channel, size_t pixel) {
    const float* values = static_cast<const float*>(step.source);
    switch (step.spread) {
        case Spread::none: return values[channel * shape.pixels() + pixel];
        case Spread::by_channel: return values[channel];
        case Spread::by_pixel: return values[pixel];
        case Spread::all: break;
    }
    return values[0];
}

// e^t = q * s + s for t from -87 to 0, in the operations of src/bitwright/ir/functions.py.
struct Exponential {
    float q, s;

    explicit Exponential(float t) {
        t = t > -87 ? t : -87;
        const float k = (t * kLog2E + kWhole) - kWhole;
        const float r = (t - k * kLn2High) - k * kLn2Low;
        float p = kExponential[4];
        for (int i = 3; i >= 0; --i) p = p * r + kExponential[i];
        q = p * (r * r) + r;
        const int32_t power = (int32_t(k) + 127) * (1 << 23);
        std::memcpy(&s, &power, sizeof s);
    }
};

float sigmoid(float x) {
    const Exponential of(-std::fabs(x));
    const float e = of.q * of.s + of.s;
    return (x >= 0 ? 1 : e) / (e + 1);
}

float tanh(float x) {
    const Exponential of(std::fabs(x) * -2);
    const float m = of.q * of.s + (of.s - 1);
    const float y = -m / (m + 2);
    return x > 0 ? y : -y;
}

void elementwise(const Shape& shape, const Step* steps, int count, int begin, int end) {
    for (int s = 0; s < count; ++s) {
        uint8_t* bits = static_cast<uint8_t*>(steps[s].target);
        if (steps[s].op == Step::binarize || steps[s].op == Step::quantize) clear_bits(shape, bits, begin, end);
        if (steps[s].op == Step::quantize) clear_bits(shape, bits + steps[s].plane_bytes, begin, end);
    }
    for (int c = begin; c < end; ++c) {
        for (size_t pixel = 0; pixel < shape.pixels(); ++pixel) {
            const size_t at = c * shape.pixels() + pixel;
            float v = 0;
            for (const Step* step = steps; step != steps + count; ++step) {
                switch (step->op) {
                    case Step::load_real: v = static_cast<const float*>(step->source)[at]; break;
                    case Step::load_sum: v = float(static_cast<const int32_t*>(step->source)[at]); break;
                    case Step::load_pixel: v = float(static_cast<const uint8_t*>(step->source)[at]); break;
                    case Step::affine:
                        v *= step->a[c];
                        if (step->b) v += step->b[c];
                        break;
                    case Step::level_sum: {
                        const size_t group = size_t(c / step->channels_per_group);
                        const int32_t sum = static_cast<const int32_t*>(step->source)[group * shape.pixels() + pixel];
                        v = step->a[c] * v + step->b[c] * float(sum);
                        if (step->c) v += step->c[c];
                        break;
                    }
                    case Step::add: v += static_cast<const float*>(step->source)[at]; break;
                    case Step::add_spread: v += operand(shape, *step, c, pixel); break;
                    case Step::multiply: v *= operand(shape, *step, c, pixel); break;
                    case Step::sigmoid: v = sigmoid(v); break;
                    case Step::tanh: v = tanh(v); break;
                    case Step::shift: v += step->a[size_t(c) * step->classes + step->pixel[pixel].index]; break;
                    case Step::prelu: v = v > 0 ? v : step->a[c] * v; break;
                    case Step::clamp:
                        v = v > step->low ? v : step->low;
                        v = v < step->high ? v : step->high;
                        break;
                    case Step::load_fixed: v = float(static_cast<const int16_t*>(step->source)[at]) * step->high; break;
                    case Step::add_fixed: v += float(static_cast<const int16_t*>(step->source)[at]) * step->high; break;
                    case Step::fix: v = nearest(v * step->low) * step->high; break;
                    case Step::store_fixed:
                        static_cast<int16_t*>(step->target)[at] = int16_t(v * step->low);
                        break;
                    case Step::fix_and_store:
                        static_cast<int16_t*>(step->target)[at] = int16_t(nearest(v * step->low));
                        break;
                    case Step::binarize:
                        put_bit(shape, static_cast<uint8_t*>(step->target), c, pixel, v >= step->a[c]);
                        break;
                    case Step::quantize: {
                        uint8_t* low = static_cast<uint8_t*>(step->target);
                        const int code = (v >= step->a[c]) + (v >= step->b[c]) + (v >= step->c[c]);
                        put_bit(shape, low, c, pixel, code & 1);
                        put_bit(shape, low + step->plane_bytes, c, pixel, code >> 1);
                        break;
                    }
                    case Step::store: static_cast<float*>(step->target)[at] = v; break;
                }
            }
        }
    }
}

void threshold(const Shape& shape, const int32_t* x, const int32_t* threshold, const uint8_t* flip, uint8_t* y,
               int begin, int end) {
    clear_bits(shape, y, begin, end);
    for (int c = begin; c < end; ++c) {
        for (size_t pixel = 0; pixel < shape.pixels(); ++pixel) {
            put_bit(shape, y, c, pixel, (x[c * shape.pixels() + pixel] >= threshold[c]) != bool(flip[c]));
        }
    }
}

void thermometer(const Shape& in, const uint8_t* x, const int16_t* thresholds, int count, uint8_t* y, int begin,
                 int end) {
    const Shape out{in.c * count, in.h, in.w};
    clear_bits(out, y, begin, end);
    for (int c = begin; c < end; ++c) {
        for (size_t pixel = 0; pixel < in.pixels(); ++pixel) {
            put_bit(out, y, c, pixel, x[c / count * in.pixels() + pixel] >= thresholds[c % count]);
        }
    }
}

// What a bit, or the code of a digit, means.
int value_of(Kind kind, int code) {
    if (kind == Kind::digit) return 2 * code - 3;
    return kind == Kind::sign ? 2 * code - 1 : code;
}

void decode(const Shape& shape, Kind kind, const uint8_t* x, float* y, int begin, int end) {
    const Shape map = shape.bits();
    for (int c = begin; c < end; ++c) {
        for (size_t pixel = 0; pixel < shape.pixels(); ++pixel) {
            const int channel = shape.vector ? 0 : c;
            const size_t at = shape.vector ? size_t(c) : pixel;
            int code = get_bit(map, x, channel, at);
            if (kind == Kind::digit) code += 2 * get_bit(map, x + map.bit_bytes(), channel, at);
            y[c * shape.pixels() + pixel] = float(value_of(kind, code));
        }
    }
}

void flatten_bits(const Shape& in, const uint8_t* x, uint8_t* y) {
    const Shape row{int(in.elements()), 1, 1, true};
    clear_bits(row, y, 0, row.c);
    for (int c = 0; c < in.c; ++c) {
        for (size_t pixel = 0; pixel < in.pixels(); ++pixel) {
            put_bit(row, y, int(c * in.pixels() + pixel), 0, get_bit(in, x, c, pixel));
        }
    }
}

template <class Args> Kind input_kind(const Args& args) {
    return args.input_planes == 2 ? Kind::digit : args.input_signed ? Kind::sign : Kind::bit;
}

void binary_linear(const BinaryLinearArgs& args, const uint8_t* x, void* y, int begin, int end) {
    const size_t words = round_up((size_t(args.in) + 63) / 64, 8);
    const Shape row{args.out, 1, 1, true}, input = {args.in, 1, 1, true};
    const Kind kind = input_kind(args);
    if (args.threshold) clear_bits(row, static_cast<uint8_t*>(y), begin, end);
    for (int o = begin; o < end; ++o) {
        int32_t sum = 0;
        for (int k = 0; k < args.in; ++k) {
            int code = get_bit(input.bits(), x, 0, size_t(k));
            if (kind == Kind::digit) code += 2 * get_bit(input.bits(), x + input.plane_bytes(), 0, size_t(k));
            const int w = int(args.weight[o * words + k / 64] >> (k % 64) & 1);
            sum += value_of(kind, code) * (args.weight_signed ? 2 * w - 1 : w);
        }
        if (args.threshold) {
            put_bit(row, static_cast<uint8_t*>(y), o, 0, (sum >= args.threshold[o]) != bool(args.flip[o]));
        } else {
            static_cast<int32_t*>(y)[o] = sum;
        }
    }
}

class ReferenceConv final : public BinaryConv {
public:
    explicit ReferenceConv(const BinaryConvArgs& args) : args_(args) {
        const size_t taps = size_t(args.window.kh) * args.window.kw * (args.in.c / args.groups);
        weight_ = std::make_unique<uint8_t[]>(args.out.c * taps);
        if (args.window_sum) {
            std::memset(weight_.get(), 1, args.out.c * taps);
            args_.weight_signed = false;
        } else {
            std::memcpy(weight_.get(), args.weight, args.out.c * taps);
        }
        args_.weight = weight_.get();
        if (args.threshold) {
            threshold_ = std::make_unique<int32_t[]>(args.out.c);
            flip_ = std::make_unique<uint8_t[]>(args.out.c);
            std::memcpy(threshold_.get(), args.threshold, args.out.c * sizeof(int32_t));
            std::memcpy(flip_.get(), args.flip, args.out.c);
        }
        if (args.gate) gate_.assign(args.gate, args.gate + args.out.c);
    }

    const char* name() const override { return "reference"; }
    size_t scratch_bytes() const override { return sizeof(const uint8_t*); }
    int prepare_units() const override { return 1; }
    int channel_units() const override { return args_.out.c; }
    double prepare_share() const override { return 0; }

    void prepare(const uint8_t* in, void* scratch, int, int) const override {
        *static_cast<const uint8_t**>(scratch) = in;
    }

    void channels(const void* scratch, void* out, int begin, int end) const override {
        const uint8_t* in = *static_cast<const uint8_t* const*>(scratch);
        if (args_.tail) return pass(in, *static_cast<const Tail*>(out), begin, end);
        if (threshold_) clear_bits(args_.out, static_cast<uint8_t*>(out), begin, end);
        for (int o = begin; o < end; ++o) {
            for (size_t pixel = 0; pixel < args_.out.pixels(); ++pixel) {
                const int32_t sum = accumulate(in, o, int(pixel / args_.out.w), int(pixel % args_.out.w));
                if (threshold_) {
                    put_bit(args_.out, static_cast<uint8_t*>(out), o, pixel,
                            (sum >= threshold_[o]) != bool(flip_[o]));
                } else {
                    static_cast<int32_t*>(out)[o * args_.out.pixels() + pixel] = sum;
                }
            }
        }
    }

private:
    void pass(const uint8_t* in, const Tail& tail, int begin, int end) const {
        const size_t pixels = args_.out.pixels();
        std::vector<int32_t> sums(args_.out.elements());
        for (size_t i = begin * pixels; i < end * pixels; ++i) {
            const size_t pixel = i % pixels;
            sums[i] = accumulate(in, int(i / pixels), int(pixel / args_.out.w), int(pixel % args_.out.w));
        }
        std::vector<Step> steps(tail.steps, tail.steps + tail.count);
        steps[0].source = sums.data();
        elementwise(args_.out, steps.data(), tail.count, begin, end);
    }

    int32_t accumulate(const uint8_t* in, int o, int oy, int ox) const {
        const Kind kind = input_kind(args_);
        if (gate_.empty()) return sum_products(in, kind, o, oy, ox);
        const int32_t high = sum_products(in + args_.in.bit_bytes(), Kind::sign, o, oy, ox);
        return 2 * high + (high >= gate_[size_t(o)] ? sum_products(in, Kind::sign, o, oy, ox) : 0);
    }

    int32_t sum_products(const uint8_t* in, Kind kind, int o, int oy, int ox) const {
        const int in_group = args_.in.c / args_.groups, out_group = args_.out.c / args_.groups;
        const size_t taps = size_t(args_.window.kh) * args_.window.kw;
        int32_t sum = 0;
        for (int i = 0; i < in_group; ++i) {
            each_tap(args_.in, args_.window, oy, ox, [&](size_t pixel, int tap) {
                const int channel = o / out_group * in_group + i;
                int code = get_bit(args_.in, in, channel, pixel);
                if (kind == Kind::digit) code += 2 * get_bit(args_.in, in + args_.in.bit_bytes(), channel, pixel);
                const int w = args_.weight[(size_t(o) * in_group + i) * taps + tap];
                sum += value_of(kind, code) * (args_.weight_signed ? 2 * w - 1 : w);
            });
        }
        return sum;
    }

    BinaryConvArgs args_;
    std::unique_ptr<uint8_t[]> weight_, flip_;
    std::unique_ptr<int32_t[]> threshold_;
    std::vector<int32_t> gate_;
};

std::unique_ptr<BinaryConv> binary_conv(const BinaryConvArgs& args, const char* choice) {
    if (choice && *choice && std::strcmp(choice, "reference") != 0) return nullptr;
    return std::make_unique<ReferenceConv>(args);
}

std::vector<std::string> binary_conv_names(const BinaryConvArgs&) { return {"reference"}; }

}  // namespace

const Kernels& reference_kernels() {
    static const Kernels table = {
        "reference",
        conv_weight_bytes, pack_conv, conv_copy_bytes, conv_scratch_bytes, conv_fill, conv_units, conv,
        pixel_conv_bytes, pack_pixel_conv, pixel_conv_scratch_bytes, pixel_conv,
        linear,        mean,
        avg_pool,      max_pool<float>, max_pool<int32_t>, max_pool_bits,
        elementwise,   threshold,       thermometer,       decode,        flatten_bits,
        binary_linear, binary_conv,     binary_conv_names,
    };
    return table;
}

}  // namespace bw
