#include "stored_weight.h"

#include <cstring>

#include "bit_code.h"
#include "memory.h"
#include "real_code.h"
#include "refusal.h"

namespace bw {
namespace {

using std::to_string;

bool is_real_layer(OpCode code) { return code == OpCode::conv || code == OpCode::linear; }

bool is_binary_layer(OpCode code) { return code == OpCode::binary_conv || code == OpCode::binary_linear; }

Bytes decode_floats(const StoredBlob& stored, const std::string& where) {
    const Blob& blob = stored.blob;
    Bytes floats = allocate(blob.elements * sizeof(float));
    float* weight = reinterpret_cast<float*>(floats.get());
    if (!decode_real_weight(stored.encoding, blob.data, blob.elements, blob.filters, weight)) {
        refuse(where, "weights in the encoding " + to_string(stored.encoding), "other bytes");
    }
    return floats;
}

// Of a kernel, or 1 where that is no product that any encoding asks for.
int taps_of(const Op& op) {
    const int64_t taps = int64_t(op.window.kh) * op.window.kw;
    return taps >= 1 && taps <= 255 * 255 ? int(taps) : 1;
}

Bytes decode_bitmap(const StoredBlob& stored, int taps, const std::string& where) {
    const size_t bytes = (stored.blob.elements + 7) / 8;
    Bytes bitmap = allocate(bytes);
    std::memset(bitmap.get(), 0, bytes);
    const Blob& blob = stored.blob;
    if (!decode_bits(stored.encoding, blob.data, stored.bytes, blob.elements, taps, bitmap.get())) {
        refuse(where, "bits in the encoding " + to_string(stored.encoding), "other bytes");
    }
    return bitmap;
}

}  // namespace

Blob decode_blob(const StoredBlob& stored, const Op& op, int place, uint32_t version, Model& model,
                 const std::string& where) {
    const bool is_bits = place == 0 && is_binary_layer(op.code);
    const bool is_floats = place == 0 && is_real_layer(op.code);
    if (stored.encoding != raw && !(is_by_filters(stored.encoding) ? is_floats : is_bits)) {
        refuse(where, "raw numbers", "the encoding " + to_string(stored.encoding));
    }
    Blob blob = stored.blob;
    if (stored.encoding != raw) {
        Bytes decoded = is_floats ? decode_floats(stored, where) : decode_bitmap(stored, taps_of(op), where);
        blob.data = decoded.get();
        model.decoded.push_back(std::move(decoded));
    }
    const Encoding newest = newest_encoding(version);
    if (is_bits && !is_smallest_code(stored.encoding, stored.bytes, blob.data, blob.elements, taps_of(op), newest)) {
        refuse(where, "bits in the encoding that takes least", "the encoding " + to_string(stored.encoding));
    }
    return blob;
}

void check_real_encoding(const Op& op, uint32_t version) {
    if (!is_real_layer(op.code)) return;
    const Blob& weight = op.blobs[0];
    const size_t filters = size_t(op.out.shape.c);
    const std::string where = op.name + " (" + op_name(op.code) + ")";
    if (weight.encoding != raw && weight.filters != filters) {
        refuse(where, to_string(filters) + " filters", to_string(weight.filters));
    }
    const Encoding encoding = Encoding(weight.encoding), newest = newest_encoding(version);
    if (is_smallest_real_code(encoding, weight.floats(), weight.elements, filters, newest)) return;
    refuse(where, "weights in the encoding that takes least", "the encoding " + to_string(encoding));
}

}  // namespace bw
