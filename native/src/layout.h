// The records of a .bw file, and which fields each op uses: the twin of src/bitwright/format/spec.py.
#pragma once
#include "infer.h"
#include "model.h"

namespace bw {

constexpr uint8_t kMagic[8] = {0x89, 'B', 'W', '\r', '\n', 0x1A, '\n', 0};
constexpr uint32_t kVersion = 3, kNone = 0xFFFFFFFF;
constexpr uint64_t kMaxFile = uint64_t(1) << 31;
constexpr uint32_t kMaxBlobs = 4 * kMaxOps;

enum Dtype : uint32_t { f32 = 0, i32 = 1, bits = 2, i16 = 3, absent_dtype };
enum Encoding : uint32_t { raw = 0, two_levels = 1, gaps = 2, entropy = 3, patterns = 4, huffman = 5, int8 = 6 };

// The last encoding that a file of a version may have.
constexpr Encoding newest_encoding(uint32_t version) {
    return version == 1 ? two_levels : version == 2 ? entropy : int8;
}

struct Header {
    uint8_t magic[8];
    uint32_t version, crc;
    uint64_t bytes;
    uint32_t ops, blobs, text, pairs, kind, rank, dims[3], output;
};
struct OpRecord {
    uint16_t code, inputs_used;
    uint32_t name, name_bytes, note, note_bytes, inputs[4], blobs[4];
    int32_t ints[12];
    float floats[4];
    uint8_t reserved[12];
};
struct BlobRecord {
    uint64_t offset, bytes;
    uint32_t elements, dtype, encoding, filters;
};
struct PairRecord {
    uint32_t key, key_bytes, value, value_bytes;
};
static_assert(sizeof(Header) == 64 && sizeof(OpRecord) == 128 && sizeof(BlobRecord) == 32 && sizeof(PairRecord) == 16);

// Which of an op's fields are in use; the twin of LAYOUTS in spec.py.
struct Layout {
    int ints, floats, blobs;
    Dtype dtypes[3];
    uint32_t optional;  // bit i: blob i may be absent
};

Layout layout_of(OpCode code);

}  // namespace bw
