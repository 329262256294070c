// Two registers side by side, for programs so short that reading them costs as much as carrying them out: every row of
// the program then counts for twice as many pixels. Members: see portable.h.
#pragma once

template <class V> struct Pair {
    static constexpr int bytes = 2 * V::bytes;

    V low, high;

    static Pair load(const void* p) {
        const uint8_t* from = static_cast<const uint8_t*>(p);
        return {V::load(from), V::load(from + V::bytes)};
    }
    void store(void* p) const {
        low.store(p);
        high.store(static_cast<uint8_t*>(p) + V::bytes);
    }

    static Pair zero() { return {V::zero(), V::zero()}; }
    static Pair ones() { return {V::ones(), V::ones()}; }
    static Pair fill(uint32_t mask) { return {V::fill(mask), V::fill(mask)}; }
    static Pair repeat(uint64_t word) { return {V::repeat(word), V::repeat(word)}; }
    static Pair gather(const uint8_t* base, const uint32_t* offset) {
        return {V::gather(base, offset), V::gather(base, offset + V::bytes / 8)};
    }

    friend Pair operator&(Pair a, Pair b) { return {a.low & b.low, a.high & b.high}; }
    friend Pair operator|(Pair a, Pair b) { return {a.low | b.low, a.high | b.high}; }
    friend Pair operator^(Pair a, Pair b) { return {a.low ^ b.low, a.high ^ b.high}; }
    friend Pair operator~(Pair a) { return {~a.low, ~a.high}; }

    static Pair majority(Pair a, Pair b, Pair c) {
        return {V::majority(a.low, b.low, c.low), V::majority(a.high, b.high, c.high)};
    }
    static void add(Pair a, Pair b, Pair c, Pair& high, Pair& low) {
        V::add(a.low, b.low, c.low, high.low, low.low);
        V::add(a.high, b.high, c.high, high.high, low.high);
    }

    Pair shift_left(int n) const { return {low.shift_left(n), high.shift_left(n)}; }
    Pair shift_right(int n) const { return {low.shift_right(n), high.shift_right(n)}; }

    static Pair zip8_low(Pair a, Pair b) { return {V::zip8_low(a.low, b.low), V::zip8_low(a.high, b.high)}; }
    static Pair zip8_high(Pair a, Pair b) { return {V::zip8_high(a.low, b.low), V::zip8_high(a.high, b.high)}; }
    static Pair zip16_low(Pair a, Pair b) { return {V::zip16_low(a.low, b.low), V::zip16_low(a.high, b.high)}; }
    static Pair zip16_high(Pair a, Pair b) { return {V::zip16_high(a.low, b.low), V::zip16_high(a.high, b.high)}; }
    static Pair zip32_low(Pair a, Pair b) { return {V::zip32_low(a.low, b.low), V::zip32_low(a.high, b.high)}; }
    static Pair zip32_high(Pair a, Pair b) { return {V::zip32_high(a.low, b.low), V::zip32_high(a.high, b.high)}; }
};
