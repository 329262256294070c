// Whether bytes are UTF-8 as Python decodes it: shortest forms only, no surrogates, nothing beyond U+10FFFF.
#pragma once
#include <cstdint>
#include <string>

namespace bw {

inline bool is_utf8(const std::string& text) {
    const size_t size = text.size();
    const auto byte = [&](size_t i) { return i < size ? uint8_t(text[i]) : uint8_t(0); };
    for (size_t i = 0; i < size;) {
        const uint8_t lead = byte(i);
        const int length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
        if (length == 0) return false;
        const uint8_t second = byte(i + 1);
        if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) || (lead == 0xF0 && second < 0x90) ||
            (lead == 0xF4 && second > 0x8F)) {
            return false;
        }
        for (int k = 1; k < length; ++k) {
            if ((byte(i + k) & 0xC0) != 0x80) return false;
        }
        i += size_t(length);
    }
    return true;
}

}  // namespace bw
