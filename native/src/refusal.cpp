#include "refusal.h"

#include <cstdio>

#include "model.h"

namespace bw {

const char* const kDamaged = " The file is damaged: copy or export it again.";

void refuse(const std::string& where, const std::string& expected, const std::string& found) {
    throw FormatError(where + ": expected " + expected + ", found " + found + "." + kDamaged);
}

std::string hex(const uint8_t* data, size_t bytes, const char* gap) {
    std::string text;
    char digits[4];
    for (size_t i = 0; i < bytes; ++i) {
        std::snprintf(digits, sizeof digits, "%02x", data[i]);
        text += (i ? gap : "") + std::string(digits);
    }
    return text;
}

}  // namespace bw
