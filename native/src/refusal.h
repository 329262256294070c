// How the loader says no to a file: where, what was expected, what was found.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace bw {

extern const char* const kDamaged;  // the advice that ends the message

[[noreturn]] void refuse(const std::string& where, const std::string& expected, const std::string& found);

// Bytes in digits, with `gap` between them.
std::string hex(const uint8_t* data, size_t bytes, const char* gap);

}  // namespace bw
