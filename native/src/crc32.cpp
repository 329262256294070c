#include "crc32.h"

#include <array>
#include <cstring>

namespace bw {
namespace {

// table[k][b]: what byte b does to the checksum when k more bytes follow, so that eight bytes go in one step.
using Tables = std::array<std::array<uint32_t, 256>, 8>;

Tables make_tables() {
    Tables table{};
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0u);
        table[0][byte] = value;
    }
    for (uint32_t byte = 0; byte < 256; ++byte) {
        for (size_t k = 1; k < 8; ++k) table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 255];
    }
    return table;
}

}  // namespace

uint32_t crc32(const uint8_t* data, size_t bytes) {
    static const Tables table = make_tables();
    uint32_t crc = ~0u;
    for (; bytes >= 8; bytes -= 8, data += 8) {
        uint64_t word;
        std::memcpy(&word, data, 8);  // little-endian, as the whole format
        word ^= crc;
        crc = 0;
        for (size_t k = 0; k < 8; ++k) crc ^= table[7 - k][word >> (8 * k) & 255];
    }
    for (; bytes > 0; --bytes) crc = crc >> 8 ^ table[0][(crc ^ *data++) & 255];
    return ~crc;
}

}  // namespace bw
