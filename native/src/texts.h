// The text of a file, from which one name or note after another is taken.
#pragma once
#include <string>

#include "parts.h"

namespace bw {

class Texts {
public:
    explicit Texts(const Parts& parts);

    std::string take(uint32_t offset, uint32_t bytes, const std::string& where);
    std::string take_name(uint32_t offset, uint32_t bytes, const std::string& where);  // which is not empty

    void check_all_taken() const;

private:
    const char* const data_;
    const uint32_t bytes_;
    uint32_t next_ = 0;
};

}  // namespace bw
