// The reference loop of elementwise steps: one element after another through all of them.
#include <cmath>

#include "reference.h"

namespace bw::reference {
namespace {

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

}  // namespace

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

void set_elementwise(Kernels& table) {
    table.elementwise = elementwise;
}

}  // namespace bw::reference
