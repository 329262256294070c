#include "blob_table.h"

#include "bit_code.h"
#include "real_code.h"
#include "refusal.h"

namespace bw {
namespace {

using std::to_string;

uint64_t raw_bytes(const BlobRecord& r) {
    if (r.dtype == bits) return (uint64_t(r.elements) + 7) / 8;
    return uint64_t(r.elements) * (r.dtype == i16 ? 2 : 4);
}

// How many bytes a blob takes: as many as the record says only where that is not settled by the rest of it.
uint64_t bytes_of(const BlobRecord& r, const std::string& where) {
    if (r.encoding == raw) return raw_bytes(r);
    if (is_by_filters(r.encoding)) {
        if (r.dtype != f32 || r.filters < 1 || r.elements % r.filters) {
            refuse(where, "filters that divide " + to_string(r.elements) + " real weights",
                   to_string(r.filters) + " of dtype " + to_string(r.dtype));
        }
        return real_code_bytes(Encoding(r.encoding), r.elements, r.filters);
    }
    const std::string code = "the encoding " + to_string(r.encoding);
    if (r.dtype != bits) refuse(where, "bits, which alone have " + code, "the dtype " + to_string(r.dtype));
    const uint64_t least = least_code_bytes(r.elements), most = raw_bytes(r) - 1;
    if (r.bytes < least || r.bytes > most) {
        refuse(where, to_string(least) + " to " + to_string(most) + " bytes in " + code, to_string(r.bytes));
    }
    return r.bytes;
}

}  // namespace

BlobTable::BlobTable(const Parts& parts) {
    const Encoding newest = newest_encoding(parts.header.version);
    uint64_t end = parts.text_end;
    blobs_.reserve(parts.header.blobs);
    for (uint32_t i = 0; i < parts.header.blobs; ++i) {
        const std::string where = "blob " + to_string(i);
        const auto r = parts.record<BlobRecord>(parts.blobs, i);
        if (r.dtype >= absent_dtype) refuse(where, "a dtype from 0 to 3", to_string(r.dtype));
        if (r.encoding > newest) refuse(where, "an encoding from 0 to " + to_string(newest), to_string(r.encoding));
        if (!is_by_filters(r.encoding) && r.filters != 0) {
            refuse(where, "0 where nothing is stored", to_string(r.filters));
        }
        if (r.elements < 1 || r.elements > uint32_t(kMaxElements)) {
            refuse(where, "1 to " + to_string(kMaxElements) + " elements", to_string(r.elements));
        }
        const uint64_t offset = round_up(end, 64), bytes = bytes_of(r, where);
        if (r.offset != offset || r.bytes != bytes) {
            refuse(where, to_string(bytes) + " bytes at " + to_string(offset),
                   to_string(r.bytes) + " at " + to_string(r.offset));
        }
        if (offset + bytes > parts.size) {
            refuse(where, "an end at " + to_string(parts.size) + " or before", to_string(offset + bytes));
        }
        parts.check_zeros(end, offset, where);
        end = offset + bytes;
        const bool ends_in_bits = (r.dtype == bits && r.encoding == raw) || r.encoding == two_levels;
        if (ends_in_bits && r.elements % 8 && parts.data[end - 1] >> (r.elements % 8)) {
            refuse(where, "zeros behind its last bit", "0x" + hex(parts.data + end - 1, 1, ""));
        }
        const Blob blob = {parts.data + offset, r.elements, r.filters, r.encoding};
        blobs_.push_back({blob, Dtype(r.dtype), Encoding(r.encoding), bytes});
    }
    if (end != parts.size) {
        refuse("blob table", "a file that ends at " + to_string(end), to_string(parts.size) + " bytes");
    }
}

StoredBlob BlobTable::take(uint32_t index, Dtype dtype, const std::string& where) {
    if (index != next_ || index >= blobs_.size()) {
        refuse(where, "blob " + to_string(next_) + " of " + to_string(blobs_.size()), "blob " + to_string(index));
    }
    const StoredBlob& found = blobs_[next_++];
    if (found.dtype != dtype) refuse(where, "a blob of dtype " + to_string(dtype), to_string(found.dtype));
    return found;
}

void BlobTable::check_all_taken() const {
    if (next_ == blobs_.size()) return;
    refuse("blob table", to_string(next_) + " blobs, as the ops name", to_string(blobs_.size()));
}

}  // namespace bw
