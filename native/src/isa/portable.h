// 128 bits by the compiler's vector extensions: SSE2 on any x86-64, NEON on any aarch64, plain words elsewhere.
//
// Every instruction set has such a struct of bits; the kernels of sliced.inc are written on it. Headers of this folder
// are included inside the namespace of one translation unit, after <cstdint>, <cstring> and the intrinsics.
#pragma once

struct Vec128 {
    typedef uint64_t Words __attribute__((vector_size(16)));
    typedef uint8_t Octets __attribute__((vector_size(16)));
    typedef uint16_t Pairs __attribute__((vector_size(16)));
    typedef uint32_t Quads __attribute__((vector_size(16)));
    static constexpr int bytes = 16;

    Words v;

    static Vec128 load(const void* p) {
        Vec128 a;
        std::memcpy(&a.v, p, 16);
        return a;
    }
    void store(void* p) const { std::memcpy(p, &v, 16); }

    static Vec128 zero() { return {Words{0, 0}}; }
    static Vec128 ones() { return ~zero(); }
    static Vec128 fill(uint32_t mask) { return {Words(Quads{mask, mask, mask, mask})}; }  // 32 bits, repeated

    static Vec128 repeat(uint64_t word) { return {Words{word, word}}; }

    // Words from as many places.
    static Vec128 gather(const uint8_t* base, const uint32_t* offset) {
        Words words;
        std::memcpy(&words[0], base + offset[0], 8);
        std::memcpy(&words[1], base + offset[1], 8);
        return {words};
    }

    friend Vec128 operator&(Vec128 a, Vec128 b) { return {a.v & b.v}; }
    friend Vec128 operator|(Vec128 a, Vec128 b) { return {a.v | b.v}; }
    friend Vec128 operator^(Vec128 a, Vec128 b) { return {a.v ^ b.v}; }
    friend Vec128 operator~(Vec128 a) { return {~a.v}; }

    static Vec128 majority(Vec128 a, Vec128 b, Vec128 c) { return (a & b) | ((a ^ b) & c); }
    // low + 2 * high = a + b + c in every lane
    static void add(Vec128 a, Vec128 b, Vec128 c, Vec128& high, Vec128& low) {
        const Vec128 differ = a ^ b;
        high = (a & b) | (differ & c);
        low = differ ^ c;
    }

    // Shifts move each 64-bit word by 0 to 63.
    Vec128 shift_left(int n) const { return {v << uint64_t(n)}; }
    Vec128 shift_right(int n) const { return {v >> uint64_t(n)}; }

    // a0 b0 a1 b1 ... of elements of 1, 2 and 4 bytes, from the low or the high halves of 16-byte parts.
    static Vec128 zip8_low(Vec128 a, Vec128 b) {
        return {Words(__builtin_shufflevector(Octets(a.v), Octets(b.v), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
                                              7, 23))};
    }
    static Vec128 zip8_high(Vec128 a, Vec128 b) {
        return {Words(__builtin_shufflevector(Octets(a.v), Octets(b.v), 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                              14, 30, 15, 31))};
    }
    static Vec128 zip16_low(Vec128 a, Vec128 b) {
        return {Words(__builtin_shufflevector(Pairs(a.v), Pairs(b.v), 0, 8, 1, 9, 2, 10, 3, 11))};
    }
    static Vec128 zip16_high(Vec128 a, Vec128 b) {
        return {Words(__builtin_shufflevector(Pairs(a.v), Pairs(b.v), 4, 12, 5, 13, 6, 14, 7, 15))};
    }
    static Vec128 zip32_low(Vec128 a, Vec128 b) {
        return {Words(__builtin_shufflevector(Quads(a.v), Quads(b.v), 0, 4, 1, 5))};
    }
    static Vec128 zip32_high(Vec128 a, Vec128 b) {
        return {Words(__builtin_shufflevector(Quads(a.v), Quads(b.v), 2, 6, 3, 7))};
    }
};

using Vec = Vec128;
using NarrowVec = Vec128;  // for maps that would leave most of a Vec empty
