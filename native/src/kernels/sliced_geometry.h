// The geometry of a bit-sliced convolution: copies of the input, blocks of output pixels, classes of border pixels.
#pragma once
#include <vector>

#include "sliced.h"

namespace bw {

// Which kernel rows and columns read inside the image, for every output row and column. Two output pixels are of one
// class if their taps inside the image are the same.
struct TapClasses {
    std::vector<std::vector<bool>> rows, columns;  // distinct: rows[i][ky], columns[i][kx]
    std::vector<int> row_of, column_of;            // by output row, output column

    explicit TapClasses(const BinaryConvArgs&);
    int count() const { return int(rows.size() * columns.size()); }
    int of(int y, int x) const { return row_of[y] * int(columns.size()) + column_of[x]; }
    bool has(int tap_class, int ky, int kx) const {
        return rows[tap_class / columns.size()][ky] && columns[tap_class % columns.size()][kx];
    }
};

struct SlicedGeometry {
    int bytes;  // of a register
    int pieces, piece_bytes, blocks;
    std::vector<int> shift;
    std::vector<SlicedPlane> planes;
    std::vector<uint8_t> column_mask;
    size_t column_bytes, channel_bytes, mask_bytes;
    std::vector<int> taps;              // ky * kw + kx of those that lie inside the image for some output pixel
    std::vector<uint32_t> tap_offset;   // of these, from the copies of a channel
    std::vector<uint8_t> valid;
    std::vector<int> byte_pixel;

    SlicedGeometry(const BinaryConvArgs&, const TapClasses&, int register_bytes);

    // Fills in what the copying of the input reads.
    void describe(const BinaryConvArgs&, SlicedView&) const;

    // The output pixel of a bit of a block, or -1.
    int pixel(const Shape& out, int block, int bit) const;
};

}  // namespace bw
