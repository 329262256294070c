#include "texts.h"

#include "refusal.h"
#include "utf8.h"

namespace bw {

using std::to_string;

Texts::Texts(const Parts& parts)
    : data_(reinterpret_cast<const char*>(parts.data + parts.text)), bytes_(parts.header.text) {}

std::string Texts::take(uint32_t offset, uint32_t bytes, const std::string& where) {
    const uint32_t left = bytes_ - next_;
    if (offset != next_ || bytes > left) {
        refuse(where, "a text at " + to_string(next_) + " of at most " + to_string(left) + " bytes",
               to_string(bytes) + " at " + to_string(offset));
    }
    next_ += bytes;
    std::string text(data_ + offset, bytes);
    if (!is_utf8(text)) refuse(where, "UTF-8 text", "other bytes");
    return text;
}

std::string Texts::take_name(uint32_t offset, uint32_t bytes, const std::string& where) {
    std::string name = take(offset, bytes, where);
    if (name.empty()) refuse(where, "a name", "an empty text");
    return name;
}

void Texts::check_all_taken() const {
    if (next_ == bytes_) return;
    refuse("text", to_string(next_) + " bytes, as the tables name", to_string(bytes_));
}

}  // namespace bw
