#include "file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace bw {
namespace {

[[noreturn]] void fail(const std::string& path) { throw std::system_error(errno, std::generic_category(), path); }

int open_for_reading(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(path);
    return descriptor;
}

}  // namespace

File::File(const std::string& path) : path_(path), descriptor_(open_for_reading(path)) {
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) size_ = size_t(status.st_size);
}

File::~File() { ::close(descriptor_); }

SharedBytes File::map() const {
    if (size_ == 0) return nullptr;
    void* memory = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0);
    if (memory == MAP_FAILED) return nullptr;
    return SharedBytes(static_cast<const uint8_t*>(memory), [size = size_](const uint8_t* bytes) {
        ::munmap(const_cast<uint8_t*>(bytes), size);
    });
}

size_t File::read(uint8_t* to, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        const ssize_t got = ::read(descriptor_, to + done, bytes - done);
        if (got == 0) break;
        if (got > 0) {
            done += size_t(got);
        } else if (errno != EINTR) {
            fail(path_);
        }
    }
    return done;
}

}  // namespace bw
