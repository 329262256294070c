// 256 bits with AVX2. The struct's members are described in portable.h.
#pragma once

struct Vec256 {
    static constexpr int bytes = 32;

    __m256i v;

    static Vec256 load(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p))}; }
    void store(void* p) const { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

    static Vec256 zero() { return {_mm256_setzero_si256()}; }
    static Vec256 ones() { return {_mm256_set1_epi32(-1)}; }
    static Vec256 fill(uint32_t mask) { return {_mm256_set1_epi32(int(mask))}; }
    static Vec256 repeat(uint64_t word) { return {_mm256_set1_epi64x(int64_t(word))}; }

    static Vec256 gather(const uint8_t* base, const uint32_t* offset) {
        const __m128i low = two_words(base + offset[0], base + offset[1]);
        const __m128i high = two_words(base + offset[2], base + offset[3]);
        return {_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1)};
    }

    friend Vec256 operator&(Vec256 a, Vec256 b) { return {_mm256_and_si256(a.v, b.v)}; }
    friend Vec256 operator|(Vec256 a, Vec256 b) { return {_mm256_or_si256(a.v, b.v)}; }
    friend Vec256 operator^(Vec256 a, Vec256 b) { return {_mm256_xor_si256(a.v, b.v)}; }
    friend Vec256 operator~(Vec256 a) { return a ^ ones(); }

#if defined(__AVX512VL__)
    static Vec256 majority(Vec256 a, Vec256 b, Vec256 c) { return {_mm256_ternarylogic_epi64(a.v, b.v, c.v, 0xE8)}; }
    static void add(Vec256 a, Vec256 b, Vec256 c, Vec256& high, Vec256& low) {
        const __m256i sum = _mm256_ternarylogic_epi64(a.v, b.v, c.v, 0x96);
        high = majority(a, b, c);
        low.v = sum;
    }
#else
    static Vec256 majority(Vec256 a, Vec256 b, Vec256 c) { return (a & b) | ((a ^ b) & c); }
    static void add(Vec256 a, Vec256 b, Vec256 c, Vec256& high, Vec256& low) {
        const Vec256 differ = a ^ b;  // b is used once, so that its load becomes part of this instruction
        const Vec256 high_bits = a ^ (differ & (a ^ c));
        low = differ ^ c;
        high = high_bits;
    }
#endif

    Vec256 shift_left(int n) const { return {_mm256_sll_epi64(v, _mm_cvtsi32_si128(n))}; }
    Vec256 shift_right(int n) const { return {_mm256_srl_epi64(v, _mm_cvtsi32_si128(n))}; }

    static Vec256 zip8_low(Vec256 a, Vec256 b) { return {_mm256_unpacklo_epi8(a.v, b.v)}; }
    static Vec256 zip8_high(Vec256 a, Vec256 b) { return {_mm256_unpackhi_epi8(a.v, b.v)}; }
    static Vec256 zip16_low(Vec256 a, Vec256 b) { return {_mm256_unpacklo_epi16(a.v, b.v)}; }
    static Vec256 zip16_high(Vec256 a, Vec256 b) { return {_mm256_unpackhi_epi16(a.v, b.v)}; }
    static Vec256 zip32_low(Vec256 a, Vec256 b) { return {_mm256_unpacklo_epi32(a.v, b.v)}; }
    static Vec256 zip32_high(Vec256 a, Vec256 b) { return {_mm256_unpackhi_epi32(a.v, b.v)}; }

    static __m128i two_words(const uint8_t* first, const uint8_t* second) {
        int64_t low, high;
        std::memcpy(&low, first, 8);
        std::memcpy(&high, second, 8);
        return _mm_set_epi64x(high, low);
    }
};

#if !defined(__AVX512BW__)
using Vec = Vec256;
using NarrowVec = Vec256;
#endif
