#include "entropy.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace bw {
namespace {

constexpr int kClasses = 9, kLanes = 4;
constexpr uint32_t kSlots = 1 << 16, kLeast = 1 << 16;
constexpr uint32_t kBytesOf[kClasses] = {1, 8, 28, 56, 70, 56, 28, 8, 1};  // of 8 bits, so many are ones

struct Header {
    uint16_t frequency[kClasses];
    uint16_t state[kLanes][2];  // its lower half first; so that nothing is padded
};
static_assert(sizeof(Header) == 34);

// All bytes by the number of their ones, then by value.
struct Order {
    uint8_t bytes[256];

    Order() {
        int place[kClasses] = {};
        for (int k = 1; k < kClasses; ++k) place[k] = place[k - 1] + int(kBytesOf[k - 1]);
        for (unsigned byte = 0; byte < 256; ++byte) bytes[place[__builtin_popcount(byte)]++] = uint8_t(byte);
    }
};

struct Slots {
    uint32_t count[256], first[256];
    uint32_t used = 0;

    Slots(const uint16_t (&frequency)[kClasses], const Order& order) {
        for (const uint8_t byte : order.bytes) {
            first[byte] = used;
            used += count[byte] = frequency[__builtin_popcount(byte)];
        }
    }
};

const Order kOrder;

uint16_t word_at(const uint8_t* data) {
    uint16_t word;
    std::memcpy(&word, data, sizeof word);
    return word;
}

// Whether there are frequencies to code with: one class of one byte alone would have too many slots for 16 bits.
bool find_frequencies(const uint8_t* bitmap, size_t bytes, uint16_t (&frequency)[kClasses]) {
    uint32_t seen[4][256] = {};  // in turn, since a counter that was just written is slow to read
    for (size_t i = 0; i < bytes; ++i) ++seen[i % 4][bitmap[i]];
    uint64_t total[kClasses] = {};
    for (unsigned byte = 0; byte < 256; ++byte) {
        for (const auto& part : seen) total[__builtin_popcount(byte)] += part[byte];
    }
    const auto most = size_t(std::max_element(total, total + kClasses) - total);
    uint64_t left = kSlots;
    for (size_t k = 0; k < kClasses; ++k) {
        if (k == most) continue;
        const uint64_t slots = total[k] * kSlots / (bytes * kBytesOf[k]);
        frequency[k] = uint16_t(total[k] ? std::max<uint64_t>(slots, 1) : 0);
        left -= uint64_t(frequency[k]) * kBytesOf[k];
    }
    if (left / kBytesOf[most] == kSlots) return false;
    frequency[most] = uint16_t(left / kBytesOf[most]);
    return true;
}

}  // namespace

size_t decode_entropy(const uint8_t* data, size_t bytes, size_t elements, uint8_t* bitmap) {
    Header header;
    if (bytes < sizeof header) return 0;
    std::memcpy(&header, data, sizeof header);
    uint32_t sum = 0, state[kLanes];
    for (int k = 0; k < kClasses; ++k) sum += header.frequency[k] * kBytesOf[k];
    if (sum == 0 || sum > kSlots) return 0;
    for (int lane = 0; lane < kLanes; ++lane) {
        state[lane] = uint32_t(header.state[lane][1]) << 16 | header.state[lane][0];
        if (state[lane] < kLeast) return 0;
    }
    const Slots slots(header.frequency, kOrder);
    std::vector<uint8_t> byte_of(kSlots);
    for (const uint8_t byte : kOrder.bytes) std::memset(&byte_of[0] + slots.first[byte], byte, slots.count[byte]);
    bool outside = false;  // whether a state named a slot of no byte
    const auto take = [&](uint32_t x, uint8_t* to) {
        const uint32_t slot = x % kSlots;
        const uint8_t byte = *to = byte_of[slot];
        outside |= slot >= slots.used;
        return slots.count[byte] * (x / kSlots) + slot - slots.first[byte];
    };
    const size_t all = (elements + 7) / 8;
    const uint8_t *word = data + sizeof header, *const end = data + bytes;
    size_t i = 0;
    // Without branches, which could not be foreseen: every state reads a word, and those that need it keep it.
    for (; i + kLanes <= all && end - word >= 2 * kLanes; i += kLanes) {
        for (int lane = 0; lane < kLanes; ++lane) {
            const uint32_t x = take(state[lane], bitmap + i + size_t(lane));
            const bool needs = x < kLeast;
            state[lane] = needs ? x << 16 | word_at(word) : x;
            word += needs ? 2 : 0;
        }
    }
    for (; i < all; ++i) {
        uint32_t x = take(state[i % kLanes], bitmap + i);
        if (x < kLeast) {
            if (end - word < 2) return 0;
            x = x << 16 | word_at(word);
            word += 2;
        }
        state[i % kLanes] = x;
    }
    // An encoder's step is the only one that a decoder's undoes: from where it starts, it writes these very bytes, if
    // it finds these frequencies.
    uint16_t found[kClasses];
    const bool starts = std::all_of(state, state + kLanes, [](uint32_t x) { return x == kLeast; });
    if (outside || !starts || !find_frequencies(bitmap, all, found)) return 0;
    return std::memcmp(found, header.frequency, sizeof found) == 0 ? size_t(word - data) : 0;
}

size_t entropy_bytes(const uint8_t* bitmap, size_t elements, size_t most) {
    const size_t bytes = (elements + 7) / 8;
    uint16_t frequency[kClasses];
    if (!find_frequencies(bitmap, bytes, frequency)) return SIZE_MAX;
    const Slots slots(frequency, kOrder);
    uint32_t state[kLanes];
    std::fill(state, state + kLanes, kLeast);
    size_t words = 0;
    const auto put = [&](uint32_t& x, uint8_t byte) {
        const uint32_t count = slots.count[byte];
        const bool leaves = x >= count << 16;
        words += leaves;
        x = leaves ? x >> 16 : x;
        x = (x / count << 16) + slots.first[byte] + x % count;
    };
    size_t i = bytes;
    while (i % kLanes) --i, put(state[i % kLanes], bitmap[i]);
    while (i) {
        if (sizeof(Header) + 2 * words > most) return SIZE_MAX;
        i -= kLanes;
        for (int lane = kLanes; lane-- > 0;) put(state[lane], bitmap[i + size_t(lane)]);
    }
    return sizeof(Header) + 2 * words;
}

}  // namespace bw
