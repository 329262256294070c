// 512 bits with AVX-512 F and BW: any function of three vectors is one instruction. Members: see portable.h.
#pragma once
#include "avx2.h"

struct Vec512 {
    typedef uint64_t Words __attribute__((vector_size(64)));
    static constexpr int bytes = 64;

    __m512i v;

    static Vec512 load(const void* p) { return {_mm512_loadu_si512(p)}; }
    void store(void* p) const { _mm512_storeu_si512(p, v); }

    static Vec512 zero() { return {_mm512_setzero_si512()}; }
    static Vec512 ones() { return {_mm512_set1_epi32(-1)}; }
    static Vec512 fill(uint32_t mask) { return {_mm512_set1_epi32(int(mask))}; }
    static Vec512 repeat(uint64_t word) { return {_mm512_set1_epi64(int64_t(word))}; }

    static Vec512 gather(const uint8_t* base, const uint32_t* offset) {
        const __m512i low = _mm512_castsi256_si512(Vec256::gather(base, offset).v);
        return {_mm512_maskz_inserti64x4(0xFF, low, Vec256::gather(base, offset + 4).v, 1)};
    }

    friend Vec512 operator&(Vec512 a, Vec512 b) { return {_mm512_and_si512(a.v, b.v)}; }
    friend Vec512 operator|(Vec512 a, Vec512 b) { return {_mm512_or_si512(a.v, b.v)}; }
    friend Vec512 operator^(Vec512 a, Vec512 b) { return {_mm512_xor_si512(a.v, b.v)}; }
    friend Vec512 operator~(Vec512 a) { return {_mm512_ternarylogic_epi64(a.v, a.v, a.v, 0x0F)}; }

    static Vec512 majority(Vec512 a, Vec512 b, Vec512 c) { return {_mm512_ternarylogic_epi64(a.v, b.v, c.v, 0xE8)}; }
    static void add(Vec512 a, Vec512 b, Vec512 c, Vec512& high, Vec512& low) {
        const __m512i sum = _mm512_ternarylogic_epi64(a.v, b.v, c.v, 0x96);
        high = majority(a, b, c);
        low.v = sum;
    }

    Vec512 shift_left(int n) const { return {__m512i(Words(v) << uint64_t(n))}; }
    Vec512 shift_right(int n) const { return {__m512i(Words(v) >> uint64_t(n))}; }

    // Written with full masks, since GCC warns of the undefined operand that the plain intrinsics start from.
    static Vec512 zip8_low(Vec512 a, Vec512 b) { return {_mm512_maskz_unpacklo_epi8(~__mmask64(0), a.v, b.v)}; }
    static Vec512 zip8_high(Vec512 a, Vec512 b) { return {_mm512_maskz_unpackhi_epi8(~__mmask64(0), a.v, b.v)}; }
    static Vec512 zip16_low(Vec512 a, Vec512 b) { return {_mm512_maskz_unpacklo_epi16(~__mmask32(0), a.v, b.v)}; }
    static Vec512 zip16_high(Vec512 a, Vec512 b) { return {_mm512_maskz_unpackhi_epi16(~__mmask32(0), a.v, b.v)}; }
    static Vec512 zip32_low(Vec512 a, Vec512 b) { return {_mm512_maskz_unpacklo_epi32(0xFFFF, a.v, b.v)}; }
    static Vec512 zip32_high(Vec512 a, Vec512 b) { return {_mm512_maskz_unpackhi_epi32(0xFFFF, a.v, b.v)}; }
};

using Vec = Vec512;
using NarrowVec = Vec256;
