// Reference loops of real numbers: convolutions, those of pixels too, and linear layers.
#include "reference.h"

namespace bw::reference {
namespace {

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

}  // namespace

void set_real(Kernels& table) {
    table.conv_weight_bytes = conv_weight_bytes;
    table.pack_conv = pack_conv;
    table.conv_copy_bytes = conv_copy_bytes;
    table.conv_scratch_bytes = conv_scratch_bytes;
    table.conv_fill = conv_fill;
    table.conv_units = conv_units;
    table.conv = conv;
    table.pixel_conv_bytes = pixel_conv_bytes;
    table.pack_pixel_conv = pack_pixel_conv;
    table.pixel_conv_scratch_bytes = pixel_conv_scratch_bytes;
    table.pixel_conv = pixel_conv;
    table.linear = linear;
    table.mean = mean;
}

}  // namespace bw::reference
