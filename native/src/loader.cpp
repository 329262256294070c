#include "loader.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unordered_set>

#include "bit_code.h"
#include "crc32.h"
#include "file.h"
#include "infer.h"
#include "layout.h"
#include "memory.h"
#include "two_levels.h"
#include "utf8.h"

namespace bw {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian and read in place");

using std::to_string;

const char* const kDamaged = " The file is damaged: copy or export it again.";

[[noreturn]] void refuse(const std::string& where, const std::string& expected, const std::string& found) {
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

// Checks the first bytes of a file of `size` bytes, `head` of which are there.
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

// A parameter as the file holds it.
struct StoredBlob {
    Blob blob;
    Dtype dtype;
    Encoding encoding;
    size_t bytes;
};

class Loader {
public:
    Loader(SharedBytes bytes, size_t size) : size_(size) {
        header_ = read_header(bytes.get(), size, size);
        model_.bytes = std::move(bytes);
    }

    Model load() {
        const uint32_t found = crc32(data() + 16, size_ - 16);
        if (found != header_.crc) {
            char expected[16], actual[16];
            std::snprintf(expected, sizeof expected, "%08x", header_.crc);
            std::snprintf(actual, sizeof actual, "%08x", found);
            refuse("checksum", expected, actual);
        }
        find_parts();
        read_blobs();
        const Shape shape = {int(header_.dims[0]), header_.rank == 3 ? int(header_.dims[1]) : 1,
                             header_.rank == 3 ? int(header_.dims[2]) : 1, header_.rank == 1};
        model_.input = {Kind(header_.kind), shape};
        read_ops();
        read_pairs();
        if (next_blob_ != header_.blobs) {
            refuse("blob table", to_string(next_blob_) + " blobs, as the ops name", to_string(header_.blobs));
        }
        if (next_text_ != header_.text) {
            refuse("text", to_string(next_text_) + " bytes, as the tables name", to_string(header_.text));
        }
        try {
            infer(model_);
        } catch (const FormatError& error) {
            throw FormatError(std::string(error.what()) + kDamaged);
        }
        for (const Op& op : model_.ops) check_values(op), check_encoding(op);
        return std::move(model_);
    }

private:
    const uint8_t* data() const { return model_.bytes.get(); }

    template <class Record>
    Record record(uint64_t table, uint32_t index) const {
        Record r;
        std::memcpy(&r, data() + table + uint64_t(index) * sizeof r, sizeof r);
        return r;
    }

    void zeros(uint64_t from, uint64_t to, const std::string& where) const {
        for (uint64_t at = from; at < to; ++at) {
            if (!data()[at]) continue;
            refuse(where + ", byte " + to_string(at), "0x00 where nothing is stored", "0x" + hex(data() + at, 1, ""));
        }
    }

    void find_parts() {
        const uint64_t op_end = sizeof(Header) + uint64_t(header_.ops) * sizeof(OpRecord);
        blob_table_ = round_up(op_end, 64);
        const uint64_t blob_end = blob_table_ + uint64_t(header_.blobs) * sizeof(BlobRecord);
        pair_table_ = round_up(blob_end, 64);
        const uint64_t pair_end = pair_table_ + uint64_t(header_.pairs) * sizeof(PairRecord);
        text_ = round_up(pair_end, 64);
        text_end_ = text_ + header_.text;
        if (text_end_ > size_) {
            refuse("header", "tables and text of at most " + to_string(size_) + " bytes", to_string(text_end_));
        }
        zeros(op_end, blob_table_, "op table");
        zeros(blob_end, pair_table_, "blob table");
        zeros(pair_end, text_, "metadata table");
    }

    void read_blobs() {
        uint64_t end = text_end_;
        blobs_.reserve(header_.blobs);
        for (uint32_t i = 0; i < header_.blobs; ++i) {
            const std::string where = "blob " + to_string(i);
            const BlobRecord r = record<BlobRecord>(blob_table_, i);
            if (r.dtype >= absent_dtype) refuse(where, "a dtype from 0 to 3", to_string(r.dtype));
            const Encoding last = header_.version >= kCodedSince ? entropy : two_levels;
            if (r.encoding > last) refuse(where, "an encoding from 0 to " + to_string(last), to_string(r.encoding));
            if (r.encoding != two_levels && r.filters != 0) {
                refuse(where, "0 where nothing is stored", to_string(r.filters));
            }
            if (r.elements < 1 || r.elements > uint32_t(kMaxElements)) {
                refuse(where, "1 to " + to_string(kMaxElements) + " elements", to_string(r.elements));
            }
            const uint64_t offset = round_up(end, 64);
            uint64_t bytes = r.dtype == bits ? (uint64_t(r.elements) + 7) / 8 : uint64_t(r.elements) * (r.dtype == i16 ? 2 : 4);
            if (r.encoding == two_levels) {
                if (r.dtype != f32 || r.filters < 1 || r.elements % r.filters) {
                    refuse(where, "filters that divide " + to_string(r.elements) + " real weights",
                           to_string(r.filters) + " of dtype " + to_string(r.dtype));
                }
                bytes = two_level_bytes(r.elements, r.filters);
            } else if (r.encoding != raw) {
                const std::string code = "the encoding " + to_string(r.encoding);
                if (r.dtype != bits) refuse(where, "bits, which alone have " + code, "the dtype " + to_string(r.dtype));
                const uint64_t least = least_code_bytes(r.elements);
                if (r.bytes < least || r.bytes >= bytes) {
                    refuse(where, to_string(least) + " to " + to_string(bytes - 1) + " bytes in " + code,
                           to_string(r.bytes));
                }
                bytes = r.bytes;
            }
            if (r.offset != offset || r.bytes != bytes) {
                refuse(where, to_string(bytes) + " bytes at " + to_string(offset),
                       to_string(r.bytes) + " at " + to_string(r.offset));
            }
            if (offset + bytes > size_) {
                refuse(where, "an end at " + to_string(size_) + " or before", to_string(offset + bytes));
            }
            zeros(end, offset, where);
            end = offset + bytes;
            const bool ends_in_bits = (r.dtype == bits && r.encoding == raw) || r.encoding == two_levels;
            if (ends_in_bits && r.elements % 8 && data()[end - 1] >> (r.elements % 8)) {
                refuse(where, "zeros behind its last bit", "0x" + hex(data() + end - 1, 1, ""));
            }
            blobs_.push_back({{data() + offset, r.elements, r.filters}, Dtype(r.dtype), Encoding(r.encoding), bytes});
        }
        if (end != size_) refuse("blob table", "a file that ends at " + to_string(end), to_string(size_) + " bytes");
    }

    std::string take_text(uint32_t offset, uint32_t bytes, const std::string& where) {
        const uint32_t left = header_.text - next_text_;
        if (offset != next_text_ || bytes > left) {
            refuse(where, "a text at " + to_string(next_text_) + " of at most " + to_string(left) + " bytes",
                   to_string(bytes) + " at " + to_string(offset));
        }
        next_text_ += bytes;
        std::string text(reinterpret_cast<const char*>(data() + text_ + offset), bytes);
        if (!is_utf8(text)) refuse(where, "UTF-8 text", "other bytes");
        return text;
    }

    std::string take_name(uint32_t offset, uint32_t bytes, const std::string& where) {
        std::string name = take_text(offset, bytes, where);
        if (name.empty()) refuse(where, "a name", "an empty text");
        return name;
    }

    StoredBlob take_blob(uint32_t index, Dtype dtype, const std::string& where) {
        if (index != next_blob_ || index >= header_.blobs) {
            refuse(where, "blob " + to_string(next_blob_) + " of " + to_string(header_.blobs),
                   "blob " + to_string(index));
        }
        const StoredBlob& found = blobs_[next_blob_++];
        if (found.dtype != dtype) refuse(where, "a blob of dtype " + to_string(dtype), to_string(found.dtype));
        return found;
    }

    void read_ops() {
        model_.ops.reserve(header_.ops);
        model_.input_name = take_name(0, record<OpRecord>(sizeof(Header), 0).name, "input");
        for (uint32_t i = 0; i < header_.ops; ++i) {
            const OpRecord r = record<OpRecord>(sizeof(Header), i);
            std::string where = "op " + to_string(i);
            if (r.code < 1 || r.code > kOpCodes || !op_name(OpCode(r.code))) {
                refuse(where, "an opcode from 1 to " + to_string(kOpCodes), to_string(r.code));
            }
            Op op;
            op.code = OpCode(r.code);
            op.name = take_name(r.name, r.name_bytes, where);
            op.note = take_text(r.note, r.note_bytes, where);
            where = op.name + " (" + op_name(op.code) + ")";
            read_inputs(r, i, op, where);
            read_fields(r, op, where);
            model_.ops.push_back(std::move(op));
        }
    }

    void read_inputs(const OpRecord& r, uint32_t before, Op& op, const std::string& where) {
        if (r.inputs_used < 1 || r.inputs_used > kMaxInputs) {
            refuse(where, "1 to " + to_string(kMaxInputs) + " inputs", to_string(r.inputs_used));
        }
        for (uint32_t i = 0; i < uint32_t(kMaxInputs); ++i) {
            if (i >= r.inputs_used) {
                if (r.inputs[i]) refuse(where, "0 as unused input", to_string(r.inputs[i]));
                continue;
            }
            if (r.inputs[i] > before) {
                refuse(where, "inputs from among the tensors 0 to " + to_string(before) + " before it",
                       to_string(r.inputs[i]));
            }
            op.inputs.push_back(int(r.inputs[i]));
        }
    }

    void read_fields(const OpRecord& r, Op& op, const std::string& where) {
        const Layout layout = layout_of(op.code);
        for (int i = 0; i < 4; ++i) {
            if (i < layout.blobs) {
                const bool absent = r.blobs[i] == kNone && (layout.optional >> i & 1);
                if (!absent) {
                    op.blobs[i] = decoded(take_blob(r.blobs[i], layout.dtypes[i], where), i == 0, op.code, where);
                }
            } else if (r.blobs[i] != kNone) {
                refuse(where, "no blob in place " + to_string(i), "blob " + to_string(r.blobs[i]));
            }
            uint32_t raw;
            std::memcpy(&raw, &r.floats[i], sizeof raw);
            if (i >= layout.floats && raw != 0) {
                refuse(where, "0 in the unused number " + to_string(i), to_string(r.floats[i]));
            }
        }
        for (int i = layout.ints; i < 12; ++i) {
            if (r.ints[i] != 0) refuse(where, "0 in the unused field " + to_string(i), to_string(r.ints[i]));
        }
        for (uint8_t byte : r.reserved) {
            if (byte) refuse(where, "zeros at its end", "0x" + hex(&byte, 1, ""));
        }
        op.low = r.floats[0], op.high = r.floats[1];
        read_ints(r.ints, op, where);
    }

    static void read_ints(const int32_t* v, Op& op, const std::string& where) {
        const auto flag = [&](const char* field, int32_t value) {
            if (value != 0 && value != 1) refuse(where, std::string(field) + " to be 0 or 1", to_string(value));
            return value == 1;
        };
        switch (op.code) {
            case OpCode::binarize:
            case OpCode::threshold:
                if (v[0] != int(Kind::sign) && v[0] != int(Kind::bit)) {
                    refuse(where, "the kind 3 or 4", to_string(v[0]));
                }
                op.kind = Kind(v[0]);
                break;
            case OpCode::conv:
            case OpCode::binary_conv:
            case OpCode::window_sum:
            case OpCode::max_pool:
            case OpCode::avg_pool:
            case OpCode::pixel_conv:
                op.window = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
                if (op.code == OpCode::avg_pool) {
                    op.count_padding = flag("count_padding", v[8]);
                } else if (op.code != OpCode::max_pool && op.code != OpCode::pixel_conv) {
                    op.groups = v[8];
                }
                if (op.code == OpCode::binary_conv) op.is_signed = flag("signed", v[9]);
                break;
            case OpCode::binary_linear: op.is_signed = flag("signed", v[0]); break;
            case OpCode::fixed_point: op.fraction = v[0]; break;
            case OpCode::unflatten: op.height = v[0], op.width = v[1]; break;
            case OpCode::pad_channels: op.before = v[0], op.after = v[1]; break;
            default: break;
        }
    }

    static bool is_real_layer(OpCode code) { return code == OpCode::conv || code == OpCode::linear; }

    static bool is_binary_layer(OpCode code) { return code == OpCode::binary_conv || code == OpCode::binary_linear; }

    Blob decoded(const StoredBlob& stored, bool is_first, OpCode code, const std::string& where) {
        const bool may_be_bits = is_first && is_binary_layer(code);
        const bool may_be = stored.encoding == two_levels ? is_first && is_real_layer(code) : may_be_bits;
        if (stored.encoding != raw && !may_be) {
            refuse(where, "raw numbers", "the encoding " + to_string(stored.encoding));
        }
        Blob blob = stored.blob;
        if (stored.encoding == two_levels) decode_levels(blob, where);
        if (stored.encoding == gaps || stored.encoding == entropy) decode_weight(blob, stored, where);
        const bool is_chosen = may_be_bits && header_.version >= kCodedSince;
        if (is_chosen && !is_smallest_code(stored.encoding, stored.bytes, blob.data, blob.elements)) {
            refuse(where, "bits in the encoding that takes least", "the encoding " + to_string(stored.encoding));
        }
        return blob;
    }

    void decode_levels(Blob& blob, const std::string& where) {
        if (!is_sound_two_levels(blob.data, blob.elements, blob.filters)) {
            refuse(where, "two levels of each filter, the lower first", "another encoding");
        }
        Bytes floats = allocate(blob.elements * sizeof(float));
        decode_two_levels(blob.data, blob.elements, blob.filters, reinterpret_cast<float*>(floats.get()));
        blob.data = floats.get();
        model_.decoded.push_back(std::move(floats));
    }

    void decode_weight(Blob& blob, const StoredBlob& stored, const std::string& where) {
        const size_t bytes = (blob.elements + 7) / 8;
        Bytes bitmap = allocate(bytes);
        std::memset(bitmap.get(), 0, bytes);
        if (!decode_bits(stored.encoding, blob.data, stored.bytes, blob.elements, bitmap.get())) {
            refuse(where, "bits in the encoding " + to_string(stored.encoding), "other bytes");
        }
        blob.data = bitmap.get();
        model_.decoded.push_back(std::move(bitmap));
    }

    // A real weight has its one encoding: two levels wherever that takes less.
    static void check_encoding(const Op& op) {
        if (!is_real_layer(op.code)) return;
        const Blob& weight = op.blobs[0];
        const size_t filters = size_t(op.out.shape.c);
        if (weight.filters == (suits_two_levels(weight.floats(), weight.elements, filters) ? filters : 0)) return;
        refuse(op.name + " (" + op_name(op.code) + ")", "weights of two levels stored as such, and no others",
               weight.filters ? to_string(weight.filters) + " filters of two levels" : "raw numbers");
    }

    void read_pairs() {
        std::unordered_set<std::string> keys;
        for (uint32_t i = 0; i < header_.pairs; ++i) {
            const PairRecord r = record<PairRecord>(pair_table_, i);
            const std::string where = "metadata pair " + to_string(i);
            std::string key = take_name(r.key, r.key_bytes, where);
            if (!keys.insert(key).second) refuse(where, "a key of its own", "'" + key + "' a second time");
            model_.meta.emplace_back(std::move(key), take_text(r.value, r.value_bytes, where));
        }
    }

    // So that 32 bits hold the sums.
    static void check_pixel_weights(const Op& op) {
        const size_t filters = size_t(op.out.shape.c), taps = op.blobs[0].elements / filters;
        for (size_t filter = 0; filter < filters; ++filter) {
            int64_t sum = 0;
            for (size_t i = 0; i < taps; ++i) sum += std::abs(int(op.blobs[0].shorts()[filter * taps + i]));
            if (sum > kMaxPixelWeights) {
                refuse(op.name + " (" + op_name(op.code) + ")",
                       "filters whose magnitudes add up to at most " + to_string(kMaxPixelWeights),
                       to_string(sum) + " in filter " + to_string(filter));
            }
        }
    }

    static void check_thresholds(const Op& op) {
        const int16_t* thresholds = op.blobs[0].shorts();
        for (size_t i = 0; i < op.blobs[0].elements; ++i) {
            if (thresholds[i] >= (i ? thresholds[i - 1] : 0) && thresholds[i] <= kNoPixel) continue;
            refuse(op.name + " (" + op_name(op.code) + ")", "ascending thresholds from 0 to " + to_string(kNoPixel),
                   to_string(thresholds[i]) + " as number " + to_string(i));
        }
    }

    static void check_values(const Op& op) {
        if (op.code == OpCode::pixel_conv) check_pixel_weights(op);
        if (op.code == OpCode::thermometer) check_thresholds(op);
        const Layout layout = layout_of(op.code);
        for (int i = 0; i < layout.blobs; ++i) {
            if (!op.blobs[i] || layout.dtypes[i] != f32) continue;
            for (size_t k = 0; k < op.blobs[i].elements; ++k) {
                const float value = op.blobs[i].floats()[k];
                if (!std::isfinite(value)) {
                    refuse(op.name + " (" + op_name(op.code) + ")", "finite parameters",
                           to_string(value) + " at element " + to_string(k) + " of blob " + to_string(i));
                }
            }
        }
    }

    size_t size_;
    Header header_{};
    Model model_;
    uint64_t blob_table_ = 0, pair_table_ = 0, text_ = 0, text_end_ = 0;
    std::vector<StoredBlob> blobs_;
    uint32_t next_blob_ = 0, next_text_ = 0;
};

}  // namespace

Model load_bytes(const void* data, size_t bytes) {
    read_header(static_cast<const uint8_t*>(data), bytes, bytes);
    Bytes copy = allocate(bytes);
    std::memcpy(copy.get(), data, bytes);
    return Loader(std::move(copy), bytes).load();
}

Model load_file(const std::string& path) {
    File file(path);
    try {
        if (SharedBytes mapped = file.map()) return Loader(std::move(mapped), file.size()).load();
        // the header first: it says how much to read, and that of a foreign file is refused
        Header head{};
        const size_t got = file.read(reinterpret_cast<uint8_t*>(&head), sizeof head);
        const uint64_t claimed = got < sizeof head ? got : head.bytes;
        const size_t size = size_t(read_header(reinterpret_cast<uint8_t*>(&head), got, claimed).bytes);
        Bytes bytes = allocate(size + 1);  // one more, to notice what lies behind the end
        std::memcpy(bytes.get(), &head, got);
        const size_t all = got + file.read(bytes.get() + got, size + 1 - got);
        return Loader(std::move(bytes), all).load();
    } catch (const FormatError& error) {
        throw FormatError(path + ": " + error.what());
    }
}

}  // namespace bw
