// The specification: every kernel as one plain loop, element by element and bit by bit. Here is what the loops share;
// each of the files reference_*.cpp puts its own into the table.
#pragma once
#include <cstring>

#include "kernels.h"

namespace bw::reference {

void set_real(Kernels& table);
void set_pools(Kernels& table);
void set_elementwise(Kernels& table);
void set_bits(Kernels& table);
void set_binary_conv(Kernels& table);

void elementwise(const Shape& shape, const Step* steps, int count, int begin, int end);

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

inline bool get_bit(const Shape& map, const uint8_t* bits, int channel, size_t pixel) {
    const size_t row = pixel / map.w, column = pixel % map.w;
    return bits[channel * map.stride() + row * map.pitch() + column / 8] >> (column % 8) & 1;
}

inline void put_bit(const Shape& shape, uint8_t* bits, int channel, size_t pixel, bool value) {
    const Shape map = shape.bits();
    if (shape.vector) pixel = size_t(channel), channel = 0;
    const size_t row = pixel / map.w, column = pixel % map.w;
    bits[channel * map.stride() + row * map.pitch() + column / 8] |= uint8_t(value) << (column % 8);
}

// Zeroes the bits of channels [begin, end) and the padding that belongs to them.
inline void clear_bits(const Shape& shape, uint8_t* bits, int begin, int end) {
    const size_t stride = shape.bits().stride();
    const size_t from = shape.vector ? size_t(begin) / 8 : begin * stride;
    const size_t to = shape.vector ? (end == shape.c ? stride : size_t(end) / 8) : end * stride;
    std::memset(bits + from, 0, to - from);
}

// What a bit, or the code of a digit, means.
inline int value_of(Kind kind, int code) {
    if (kind == Kind::digit) return 2 * code - 3;
    return kind == Kind::sign ? 2 * code - 1 : code;
}

template <class Args>
Kind input_kind(const Args& args) {
    return args.input_planes == 2 ? Kind::digit : args.input_signed ? Kind::sign : Kind::bit;
}

}  // namespace bw::reference
