// 128 bits with SSE2, which every x86-64 processor has. Members: see portable.h.
#pragma once

struct Vec128 {
    static constexpr int bytes = 16;

    __m128i v;

    static Vec128 load(const void* p) { return {_mm_loadu_si128(static_cast<const __m128i*>(p))}; }
    void store(void* p) const { _mm_storeu_si128(static_cast<__m128i*>(p), v); }

    static Vec128 zero() { return {_mm_setzero_si128()}; }
    static Vec128 ones() { return {_mm_set1_epi32(-1)}; }
    static Vec128 fill(uint32_t mask) { return {_mm_set1_epi32(int(mask))}; }
    static Vec128 repeat(uint64_t word) { return {_mm_set1_epi64x(int64_t(word))}; }

    static Vec128 gather(const uint8_t* base, const uint32_t* offset) {
        int64_t low, high;
        std::memcpy(&low, base + offset[0], 8);
        std::memcpy(&high, base + offset[1], 8);
        return {_mm_set_epi64x(high, low)};
    }

    friend Vec128 operator&(Vec128 a, Vec128 b) { return {_mm_and_si128(a.v, b.v)}; }
    friend Vec128 operator|(Vec128 a, Vec128 b) { return {_mm_or_si128(a.v, b.v)}; }
    friend Vec128 operator^(Vec128 a, Vec128 b) { return {_mm_xor_si128(a.v, b.v)}; }
    friend Vec128 operator~(Vec128 a) { return a ^ ones(); }

    static Vec128 majority(Vec128 a, Vec128 b, Vec128 c) { return (a & b) | ((a ^ b) & c); }
    static void add(Vec128 a, Vec128 b, Vec128 c, Vec128& high, Vec128& low) {
        const Vec128 differ = a ^ b;  // b is used once: no copy of it is needed
        const Vec128 high_bits = a ^ (differ & (a ^ c));
        low = differ ^ c;
        high = high_bits;
    }

    Vec128 shift_left(int n) const { return {_mm_sll_epi64(v, _mm_cvtsi32_si128(n))}; }
    Vec128 shift_right(int n) const { return {_mm_srl_epi64(v, _mm_cvtsi32_si128(n))}; }

    static Vec128 zip8_low(Vec128 a, Vec128 b) { return {_mm_unpacklo_epi8(a.v, b.v)}; }
    static Vec128 zip8_high(Vec128 a, Vec128 b) { return {_mm_unpackhi_epi8(a.v, b.v)}; }
    static Vec128 zip16_low(Vec128 a, Vec128 b) { return {_mm_unpacklo_epi16(a.v, b.v)}; }
    static Vec128 zip16_high(Vec128 a, Vec128 b) { return {_mm_unpackhi_epi16(a.v, b.v)}; }
    static Vec128 zip32_low(Vec128 a, Vec128 b) { return {_mm_unpacklo_epi32(a.v, b.v)}; }
    static Vec128 zip32_high(Vec128 a, Vec128 b) { return {_mm_unpackhi_epi32(a.v, b.v)}; }
};

using Vec = Vec128;
using NarrowVec = Vec128;
