// Bytes of a .bw file -> checked model. Nothing in the file is trusted; docs/format.md describes it.
#pragma once
#include <string>

#include "model.h"

namespace bw {

// Both throw FormatError: where, what was expected, what was found; load_file also std::system_error. A model keeps its
// own copy of the data, and maps the file (file.h says what that asks of others).
Model load_file(const std::string& path);
Model load_bytes(const void* data, size_t bytes);

}  // namespace bw
