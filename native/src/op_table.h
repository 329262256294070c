// The op table of a file -> the ops of a model, with their names and parameters but without the types of tensors.
#pragma once
#include "blob_table.h"
#include "texts.h"

namespace bw {

void read_ops(const Parts& parts, Texts& texts, BlobTable& blobs, Model& model);

}  // namespace bw
