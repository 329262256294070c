// Weights that the file holds in another encoding than an engine reads: decoded, and held to the one that they have.
#pragma once
#include <string>

#include "blob_table.h"

namespace bw {

// A blob of an op as an engine reads it. What is decoded becomes the model's.
//     op    its code and its fields but for the blobs; nothing of these is checked yet
//     place of the blob among the op's
Blob decode_blob(const StoredBlob& stored, const Op& op, int place, uint32_t version, Model& model,
                 const std::string& where);

// Refuses a real weight in another encoding than its own, once the shape of its op's output is known.
void check_real_encoding(const Op& op, uint32_t version);

}  // namespace bw
