// 64 bits in a word, on any processor.
//
// Every instruction set has such a struct of bits; the kernels of sliced.inc are written on it. Headers of this folder
// are included inside the namespace of one translation unit, after <cstdint>, <cstring> and the intrinsics.
#pragma once

struct Vec64 {
    static constexpr int bytes = 8;

    uint64_t v;

    static Vec64 load(const void* p) {
        Vec64 a;
        std::memcpy(&a.v, p, 8);
        return a;
    }
    void store(void* p) const { std::memcpy(p, &v, 8); }

    static Vec64 zero() { return {0}; }
    static Vec64 ones() { return ~zero(); }
    static Vec64 fill(uint32_t mask) { return {mask | uint64_t(mask) << 32}; }  // 32 bits, repeated
    static Vec64 repeat(uint64_t word) { return {word}; }

    // Words from as many places.
    static Vec64 gather(const uint8_t* base, const uint32_t* offset) { return load(base + offset[0]); }

    friend Vec64 operator&(Vec64 a, Vec64 b) { return {a.v & b.v}; }
    friend Vec64 operator|(Vec64 a, Vec64 b) { return {a.v | b.v}; }
    friend Vec64 operator^(Vec64 a, Vec64 b) { return {a.v ^ b.v}; }
    friend Vec64 operator~(Vec64 a) { return {~a.v}; }

    static Vec64 majority(Vec64 a, Vec64 b, Vec64 c) { return (a & b) | ((a ^ b) & c); }
    // low + 2 * high = a + b + c in every lane
    static void add(Vec64 a, Vec64 b, Vec64 c, Vec64& high, Vec64& low) {
        const Vec64 differ = a ^ b;
        high = (a & b) | (differ & c);
        low = differ ^ c;
    }

    // Shifts move each 64-bit word by 0 to 63.
    Vec64 shift_left(int n) const { return {v << n}; }
    Vec64 shift_right(int n) const { return {v >> n}; }

    // a0 b0 a1 b1 ... of elements of 1, 2 and 4 bytes, from the low or the high halves of a and b; of each of their
    // 16-byte parts where vectors are longer.
    static Vec64 zip8_low(Vec64 a, Vec64 b) { return {apart8(uint32_t(a.v)) | apart8(uint32_t(b.v)) << 8}; }
    static Vec64 zip8_high(Vec64 a, Vec64 b) { return {apart8(a.v >> 32) | apart8(b.v >> 32) << 8}; }
    static Vec64 zip16_low(Vec64 a, Vec64 b) { return {apart16(uint32_t(a.v)) | apart16(uint32_t(b.v)) << 16}; }
    static Vec64 zip16_high(Vec64 a, Vec64 b) { return {apart16(a.v >> 32) | apart16(b.v >> 32) << 16}; }
    static Vec64 zip32_low(Vec64 a, Vec64 b) { return {uint32_t(a.v) | b.v << 32}; }
    static Vec64 zip32_high(Vec64 a, Vec64 b) { return {a.v >> 32 | (b.v >> 32 << 32)}; }

    // The two 16-bit elements, or four bytes, of the lower half at every other place.
    static uint64_t apart16(uint64_t half) { return (half | half << 16) & 0x0000FFFF0000FFFF; }
    static uint64_t apart8(uint64_t half) {
        const uint64_t pairs = apart16(half);
        return (pairs | pairs << 8) & 0x00FF00FF00FF00FF;
    }
};

using Vec = Vec64;
using NarrowVec = Vec64;  // for maps that would leave most of a Vec empty
