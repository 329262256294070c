#include "loader.h"

#include <cstring>
#include <unordered_set>

#include "file.h"
#include "infer.h"
#include "memory.h"
#include "op_table.h"
#include "parameters.h"
#include "refusal.h"
#include "stored_weight.h"

namespace bw {
namespace {

using std::to_string;

TensorType input_of(const Header& header) {
    const bool is_map = header.rank == 3;
    return {Kind(header.kind),
            {int(header.dims[0]), is_map ? int(header.dims[1]) : 1, is_map ? int(header.dims[2]) : 1, !is_map}};
}

void read_pairs(const Parts& parts, Texts& texts, Model& model) {
    std::unordered_set<std::string> keys;
    for (uint32_t i = 0; i < parts.header.pairs; ++i) {
        const auto r = parts.record<PairRecord>(parts.pairs, i);
        const std::string where = "metadata pair " + to_string(i);
        std::string key = texts.take_name(r.key, r.key_bytes, where);
        if (!keys.insert(key).second) refuse(where, "a key of its own", "'" + key + "' a second time");
        model.meta.emplace_back(std::move(key), texts.take(r.value, r.value_bytes, where));
    }
}

Model load(SharedBytes bytes, size_t size) {
    const Parts parts = find_parts(bytes.get(), size);
    Model model;
    model.bytes = std::move(bytes);
    model.input = input_of(parts.header);
    BlobTable blobs(parts);
    Texts texts(parts);
    read_ops(parts, texts, blobs, model);
    read_pairs(parts, texts, model);
    blobs.check_all_taken();
    texts.check_all_taken();
    try {
        infer(model);
    } catch (const FormatError& error) {
        throw FormatError(std::string(error.what()) + kDamaged);
    }
    for (const Op& op : model.ops) check_parameters(op), check_real_encoding(op, parts.header.version);
    return model;
}

}  // namespace

Model load_bytes(const void* data, size_t bytes) {
    read_header(static_cast<const uint8_t*>(data), bytes, bytes);
    Bytes copy = allocate(bytes);
    std::memcpy(copy.get(), data, bytes);
    return load(std::move(copy), bytes);
}

Model load_file(const std::string& path) {
    File file(path);
    try {
        if (SharedBytes mapped = file.map()) return load(std::move(mapped), file.size());
        // the header first: it says how much to read, and that of a foreign file is refused
        Header head{};
        const size_t got = file.read(reinterpret_cast<uint8_t*>(&head), sizeof head);
        const uint64_t claimed = got < sizeof head ? got : head.bytes;
        const size_t size = size_t(read_header(reinterpret_cast<uint8_t*>(&head), got, claimed).bytes);
        Bytes bytes = allocate(size + 1);  // one more, to notice what lies behind the end
        std::memcpy(bytes.get(), &head, got);
        const size_t all = got + file.read(bytes.get() + got, size + 1 - got);
        return load(std::move(bytes), all);
    } catch (const FormatError& error) {
        throw FormatError(path + ": " + error.what());
    }
}

}  // namespace bw
