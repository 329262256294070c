// Shapes and memory layouts shared by the planner and all kernels.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

enum class Kind : int { real = 0, pixel = 1, sum = 2, sign = 3, bit = 4, digit = 5 };

inline size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

// One sample of a tensor: (c, h, w), or a vector (f,) with c = f and h = w = 1.
//
// real, sum, pixel: planar, dense, row-major, 4 / 4 / 1 bytes an element.
// sign, bit:        a map of (c, h, w) is sliced: channel after channel, `pitch` bytes a row, pixel x of a row at bit
//                   x % 8 of byte x / 8, bits beyond w zero, the channel padded with zeros to `stride` bytes.
//                   A vector (f,) is one row of f bits, laid out as the map (1, 1, f).
// digit:            two planes, each like a tensor of bits: first all low bits, then all high ones.
struct Shape {
    int c = 0, h = 1, w = 1;
    bool vector = false;

    size_t pixels() const { return size_t(h) * w; }
    size_t elements() const { return size_t(c) * h * w; }
    Shape bits() const { return vector ? Shape{1, 1, c, false} : *this; }  // the map that lays out its bits
    int pitch() const { return (w + 7) / 8; }
    size_t stride() const { return round_up(size_t(h) * pitch(), 64); }
    size_t bit_bytes() const { return size_t(c) * stride(); }
    size_t plane_bytes() const { return bits().bit_bytes(); }
};

struct Window {
    int kh = 1, kw = 1, sh = 1, sw = 1, ph = 0, pw = 0, dh = 1, dw = 1;
};

}  // namespace bw
