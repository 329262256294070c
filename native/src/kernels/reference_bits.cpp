// Reference loops to bits and from them.
#include "reference.h"

namespace bw::reference {
namespace {

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

}  // namespace

void set_bits(Kernels& table) {
    table.threshold = threshold;
    table.thermometer = thermometer;
    table.decode = decode;
    table.flatten_bits = flatten_bits;
    table.binary_linear = binary_linear;
}

}  // namespace bw::reference
