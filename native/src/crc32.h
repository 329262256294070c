// The checksum of zlib, PNG and Ethernet.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bw {

uint32_t crc32(const uint8_t* data, size_t bytes);

}  // namespace bw
