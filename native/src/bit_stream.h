// Bits packed lowest first, read from any of them on, and written one number after another.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bw {

// The 8 bytes at a place, or those that are left, as if zeros followed.
inline uint64_t word_at(const uint8_t* data, size_t bytes, size_t at) {
    uint64_t word = 0;
    if (at + 8 <= bytes) {
        std::memcpy(&word, data + at, 8);
    } else if (at < bytes) {
        std::memcpy(&word, data + at, bytes - at);
    }
    return word;
}

constexpr int kBitsAt = 57;  // how many of `bits_at` there are, at least

// The bits from one on, the first lowest; zeros behind the last.
inline uint64_t bits_at(const uint8_t* data, size_t bytes, size_t bit) {
    return word_at(data, bytes, bit / 8) >> (bit % 8);
}

class BitWriter {
public:
    explicit BitWriter(uint8_t* to) : to_(to) {}

    // Appends a number of at most 32 bits.
    void put(uint32_t number, int width) {
        waiting_ |= uint64_t(number) << count_;
        count_ += width;
        if (count_ < 32) return;
        std::memcpy(to_, &waiting_, 4);
        to_ += 4, waiting_ >>= 32, count_ -= 32;
    }

    // Writes what waits, with zeros up to a whole byte.
    void finish() { std::memcpy(to_, &waiting_, size_t(count_ + 7) / 8); }

private:
    uint8_t* to_;
    uint64_t waiting_ = 0;
    int count_ = 0;
};

}  // namespace bw
