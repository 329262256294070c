#include "parts.h"

#include <cstdio>

#include "crc32.h"
#include "refusal.h"

namespace bw {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and read in place");

using std::to_string;

void check_sum(const uint8_t* data, uint64_t size, uint32_t expected) {
    const uint32_t found = crc32(data + 16, size - 16);
    if (found == expected) return;
    char digits[2][16];
    std::snprintf(digits[0], sizeof digits[0], "%08x", expected);
    std::snprintf(digits[1], sizeof digits[1], "%08x", found);
    refuse("checksum", digits[0], digits[1]);
}

}  // namespace

Header read_header(const uint8_t* data, size_t head, uint64_t size) {
    const size_t seen = head < sizeof kMagic ? head : sizeof kMagic;
    if (seen == 0 || std::memcmp(data, kMagic, seen) != 0) {
        throw FormatError("expected a bitwright file, which starts with " + hex(kMagic, sizeof kMagic, " ") +
                          ", found " + (seen ? hex(data, seen, " ") : "an empty file") +
                          ". Was it written by bw.export?");
    }
    if (head < sizeof(Header)) refuse("header", "64 bytes", "a file of " + to_string(size));
    Header h;
    std::memcpy(&h, data, sizeof h);
    if (h.version > kVersion) {
        throw FormatError("expected a file of version " + to_string(kVersion) + ", the newest that this library reads, "
                          "found version " + to_string(h.version) + ". Update bitwright.");
    }
    if (h.version < 1) refuse("header", "a version from 1 to " + to_string(kVersion), to_string(h.version));
    if (h.bytes != size) refuse("header", "a file of " + to_string(h.bytes) + " bytes", to_string(size));
    const auto range = [](const char* what, uint64_t value, uint64_t low, uint64_t high) {
        if (value < low || value > high) {
            refuse("header", to_string(low) + " to " + to_string(high) + " " + what, to_string(value));
        }
    };
    range("bytes", h.bytes, sizeof(Header), kMaxFile);
    range("ops", h.ops, 1, kMaxOps);
    range("blobs", h.blobs, 0, kMaxBlobs);
    range("bytes of text", h.text, 0, kMaxText);
    range("metadata pairs", h.pairs, 0, kMaxMeta);
    range("as input kind", h.kind, 0, 1);
    if (h.rank != 1 && h.rank != 3) refuse("header", "an input of 1 or 3 dimensions", to_string(h.rank));
    for (uint32_t i = 0; i < 3; ++i) {
        if (h.dims[i] > uint32_t(kMaxDim) || (i < h.rank) != (h.dims[i] != 0)) {
            refuse("header", i < h.rank ? "dimensions of 1 to " + to_string(kMaxDim) : "zero as unused dimension",
                   to_string(h.dims[i]));
        }
    }
    if (h.output != h.ops) {
        refuse("header", "the last op's output, " + to_string(h.ops) + ", as output", to_string(h.output));
    }
    return h;
}

void Parts::check_zeros(uint64_t from, uint64_t to, const std::string& where) const {
    for (uint64_t at = from; at < to; ++at) {
        if (!data[at]) continue;
        refuse(where + ", byte " + to_string(at), "0x00 where nothing is stored", "0x" + hex(data + at, 1, ""));
    }
}

Parts find_parts(const uint8_t* data, uint64_t size) {
    Parts parts{data, size, read_header(data, size, size), sizeof(Header), 0, 0, 0, 0};
    const Header& header = parts.header;
    check_sum(data, size, header.crc);
    const uint64_t op_end = parts.ops + uint64_t(header.ops) * sizeof(OpRecord);
    parts.blobs = round_up(op_end, 64);
    const uint64_t blob_end = parts.blobs + uint64_t(header.blobs) * sizeof(BlobRecord);
    parts.pairs = round_up(blob_end, 64);
    const uint64_t pair_end = parts.pairs + uint64_t(header.pairs) * sizeof(PairRecord);
    parts.text = round_up(pair_end, 64);
    parts.text_end = parts.text + header.text;
    if (parts.text_end > size) {
        refuse("header", "tables and text of at most " + to_string(size) + " bytes", to_string(parts.text_end));
    }
    parts.check_zeros(op_end, parts.blobs, "op table");
    parts.check_zeros(blob_end, parts.pairs, "blob table");
    parts.check_zeros(pair_end, parts.text, "metadata table");
    return parts;
}

}  // namespace bw
