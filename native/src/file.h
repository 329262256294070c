// A file to load: mapped into memory where that can be, else read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace bw {

// Bytes that start at a multiple of 64 and live as long as anything points at them.
using SharedBytes = std::shared_ptr<const uint8_t[]>;

// Every function throws std::system_error where the system says no.
class File {
public:
    explicit File(const std::string& path);
    ~File();
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    size_t size() const { return size_; }  // 0 for what has none, such as a pipe

    // The whole file as it lies on the disk: pages come as they are touched, and processes share them. Null if it
    // cannot be mapped. Whoever cuts the file short afterwards ends the processes that read on; a new file under the
    // old name, as bw.export writes it, does no harm.
    SharedBytes map() const;

    // Fewer bytes than asked for only at the end.
    size_t read(uint8_t* to, size_t bytes);

private:
    const std::string path_;
    const int descriptor_;
    size_t size_ = 0;
};

}  // namespace bw
