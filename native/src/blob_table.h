// The blobs of a file, from which one op after another takes its own.
#pragma once
#include <string>
#include <vector>

#include "parts.h"

namespace bw {

// A parameter as the file holds it.
struct StoredBlob {
    Blob blob;
    Dtype dtype;
    Encoding encoding;
    size_t bytes;
};

class BlobTable {
public:
    // Checks sizes and places of all blobs, and what lies between them.
    explicit BlobTable(const Parts& parts);

    StoredBlob take(uint32_t index, Dtype dtype, const std::string& where);

    void check_all_taken() const;

private:
    std::vector<StoredBlob> blobs_;
    uint32_t next_ = 0;
};

}  // namespace bw
