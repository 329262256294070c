// 128 bits with NEON. Members: see portable.h.
#pragma once

struct Vec128 {
    static constexpr int bytes = 16;

    uint8x16_t v;

    static Vec128 load(const void* p) { return {vld1q_u8(static_cast<const uint8_t*>(p))}; }
    void store(void* p) const { vst1q_u8(static_cast<uint8_t*>(p), v); }

    static Vec128 zero() { return {vdupq_n_u8(0)}; }
    static Vec128 ones() { return {vdupq_n_u8(255)}; }
    static Vec128 fill(uint32_t mask) { return {vreinterpretq_u8_u32(vdupq_n_u32(mask))}; }
    static Vec128 repeat(uint64_t word) { return {vreinterpretq_u8_u64(vdupq_n_u64(word))}; }

    static Vec128 gather(const uint8_t* base, const uint32_t* offset) {
        return {vcombine_u8(vld1_u8(base + offset[0]), vld1_u8(base + offset[1]))};
    }

    friend Vec128 operator&(Vec128 a, Vec128 b) { return {vandq_u8(a.v, b.v)}; }
    friend Vec128 operator|(Vec128 a, Vec128 b) { return {vorrq_u8(a.v, b.v)}; }
    friend Vec128 operator^(Vec128 a, Vec128 b) { return {veorq_u8(a.v, b.v)}; }
    friend Vec128 operator~(Vec128 a) { return {vmvnq_u8(a.v)}; }

    // Where a and b differ the majority is c, elsewhere it is a: one bit select.
    static Vec128 majority(Vec128 a, Vec128 b, Vec128 c) { return {vbslq_u8((a ^ b).v, c.v, a.v)}; }
    static void add(Vec128 a, Vec128 b, Vec128 c, Vec128& high, Vec128& low) {
        const Vec128 differ = a ^ b;
        high = {vbslq_u8(differ.v, c.v, a.v)};
        low = differ ^ c;
    }

    Vec128 shift_left(int n) const {
        return {vreinterpretq_u8_u64(vshlq_u64(vreinterpretq_u64_u8(v), vdupq_n_s64(n)))};
    }
    Vec128 shift_right(int n) const {
        return {vreinterpretq_u8_u64(vshlq_u64(vreinterpretq_u64_u8(v), vdupq_n_s64(-n)))};
    }

    static Vec128 zip8_low(Vec128 a, Vec128 b) { return {vzip1q_u8(a.v, b.v)}; }
    static Vec128 zip8_high(Vec128 a, Vec128 b) { return {vzip2q_u8(a.v, b.v)}; }
    static Vec128 zip16_low(Vec128 a, Vec128 b) { return from16(vzip1q_u16(as16(a), as16(b))); }
    static Vec128 zip16_high(Vec128 a, Vec128 b) { return from16(vzip2q_u16(as16(a), as16(b))); }
    static Vec128 zip32_low(Vec128 a, Vec128 b) { return from32(vzip1q_u32(as32(a), as32(b))); }
    static Vec128 zip32_high(Vec128 a, Vec128 b) { return from32(vzip2q_u32(as32(a), as32(b))); }

    static uint16x8_t as16(Vec128 a) { return vreinterpretq_u16_u8(a.v); }
    static uint32x4_t as32(Vec128 a) { return vreinterpretq_u32_u8(a.v); }
    static Vec128 from16(uint16x8_t a) { return {vreinterpretq_u8_u16(a)}; }
    static Vec128 from32(uint32x4_t a) { return {vreinterpretq_u8_u32(a)}; }
};

using Vec = Vec128;
using NarrowVec = Vec128;
