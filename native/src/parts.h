// The parts of a .bw file: its header, and where the tables and the text lie that follow from it.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>

#include "layout.h"

namespace bw {

// Checks the first bytes of a file of `size` bytes, `head` of which are there.
Header read_header(const uint8_t* data, size_t head, uint64_t size);

// The bytes of a file, which live elsewhere, and where its parts start.
struct Parts {
    const uint8_t* data;
    uint64_t size;
    Header header;
    uint64_t ops, blobs, pairs, text, text_end;

    template <class Record>
    Record record(uint64_t table, uint32_t index) const {
        Record r;
        std::memcpy(&r, data + table + uint64_t(index) * sizeof r, sizeof r);
        return r;
    }

    // Refuses the bytes from one offset to another unless they are zeros.
    void check_zeros(uint64_t from, uint64_t to, const std::string& where) const;
};

// Checks the header, the checksum, and what lies between the tables.
Parts find_parts(const uint8_t* data, uint64_t size);

}  // namespace bw
