#include "arena.h"

#include <algorithm>

#include "tensor.h"

namespace bw {

// Largest first, each at the lowest offset where it fits: near the optimum for chains of layers.
size_t place(std::vector<Buffer>& buffers) {
    std::vector<Buffer*> order, placed;  // placed: by ascending offset
    for (Buffer& buffer : buffers) order.push_back(&buffer);
    std::stable_sort(order.begin(), order.end(), [](const Buffer* a, const Buffer* b) { return a->bytes > b->bytes; });
    size_t total = 0;
    for (Buffer* buffer : order) {
        size_t offset = 0;
        for (const Buffer* other : placed) {
            const bool together = buffer->first <= other->last && other->first <= buffer->last;
            if (!together) continue;
            if (offset + buffer->bytes <= other->offset) break;
            offset = std::max(offset, round_up(other->offset + other->bytes, 64));
        }
        buffer->offset = offset;
        total = std::max(total, round_up(offset + buffer->bytes, 64));
        const auto after = [](const Buffer* a, const Buffer* b) { return a->offset < b->offset; };
        placed.insert(std::upper_bound(placed.begin(), placed.end(), buffer, after), buffer);
    }
    return total;
}

}  // namespace bw
