#include "stored_weight.h"

#include <cstring>

#include "bit_code.h"
#include "memory.h"
#include "refusal.h"
#include "two_levels.h"

namespace bw {
namespace {

using std::to_string;

bool is_real_layer(OpCode code) { return code == OpCode::conv || code == OpCode::linear; }

bool is_binary_layer(OpCode code) { return code == OpCode::binary_conv || code == OpCode::binary_linear; }

Bytes decode_levels(const StoredBlob& stored, const std::string& where) {
    const Blob& blob = stored.blob;
    if (!is_sound_two_levels(blob.data, blob.elements, blob.filters)) {
        refuse(where, "two levels of each filter, the lower first", "another encoding");
    }
    Bytes floats = allocate(blob.elements * sizeof(float));
    decode_two_levels(blob.data, blob.elements, blob.filters, reinterpret_cast<float*>(floats.get()));
    return floats;
}

Bytes decode_bitmap(const StoredBlob& stored, const std::string& where) {
    const size_t bytes = (stored.blob.elements + 7) / 8;
    Bytes bitmap = allocate(bytes);
    std::memset(bitmap.get(), 0, bytes);
    if (!decode_bits(stored.encoding, stored.blob.data, stored.bytes, stored.blob.elements, bitmap.get())) {
        refuse(where, "bits in the encoding " + to_string(stored.encoding), "other bytes");
    }
    return bitmap;
}

}  // namespace

Blob decode_blob(const StoredBlob& stored, const Op& op, int place, uint32_t version, Model& model,
                 const std::string& where) {
    const bool is_bits = place == 0 && is_binary_layer(op.code);
    const bool is_floats = place == 0 && is_real_layer(op.code);
    if (stored.encoding != raw && !(stored.encoding == two_levels ? is_floats : is_bits)) {
        refuse(where, "raw numbers", "the encoding " + to_string(stored.encoding));
    }
    Blob blob = stored.blob;
    if (stored.encoding != raw) {
        Bytes decoded = stored.encoding == two_levels ? decode_levels(stored, where) : decode_bitmap(stored, where);
        blob.data = decoded.get();
        model.decoded.push_back(std::move(decoded));
    }
    const Encoding newest = newest_encoding(version);
    if (is_bits && !is_smallest_code(stored.encoding, stored.bytes, blob.data, blob.elements, newest)) {
        refuse(where, "bits in the encoding that takes least", "the encoding " + to_string(stored.encoding));
    }
    return blob;
}

void check_real_encoding(const Op& op) {
    if (!is_real_layer(op.code)) return;
    const Blob& weight = op.blobs[0];
    const size_t filters = size_t(op.out.shape.c);
    if (weight.filters == (suits_two_levels(weight.floats(), weight.elements, filters) ? filters : 0)) return;
    refuse(op.name + " (" + op_name(op.code) + ")", "weights of two levels stored as such, and no others",
           weight.filters ? to_string(weight.filters) + " filters of two levels" : "raw numbers");
}

}  // namespace bw
