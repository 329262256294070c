#include "sliced_geometry.h"

#include <algorithm>

namespace bw {
namespace {

int floor_div(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

// For every output position of one axis, the index of its set of taps inside the image among the distinct sets.
std::vector<int> classify(int out, int in, int kernel, int step, int padding, int dilation,
                          std::vector<std::vector<bool>>& distinct) {
    std::vector<int> index;
    for (int o = 0; o < out; o++) {
        std::vector<bool> inside;
        for (int k = 0; k < kernel; k++) {
            const int i = o * step + k * dilation - padding;
            inside.push_back(i >= 0 && i < in);
        }
        const auto found = std::find(distinct.begin(), distinct.end(), inside);
        index.push_back(int(found - distinct.begin()));
        if (found == distinct.end()) distinct.push_back(inside);
    }
    return index;
}

bool any_has(const std::vector<std::vector<bool>>& classes, int tap) {
    return std::any_of(classes.begin(), classes.end(), [&](const auto& taps) { return taps[tap]; });
}

// Rows of the input that the kernel rows read, by their remainder: one plane for each that occurs.
std::vector<SlicedPlane> row_planes(const BinaryConvArgs& args) {
    const Window& window = args.window;
    std::vector<SlicedPlane> planes;
    size_t offset = 0;
    for (int residue = 0; residue < window.sh; residue++) {
        int first = 0, last = -1;
        for (int ky = 0; ky < window.kh; ky++) {
            const int row = floor_div(ky * window.dh - window.ph, window.sh);
            if (ky * window.dh - window.ph - row * window.sh != residue) continue;
            if (last < first) first = last = row;
            first = std::min(first, row);
            last = std::max(last, row);
        }
        if (last < first) continue;
        const int rows = last - first + args.out.h;
        planes.push_back({residue, first, rows, uint32_t(offset)});
        offset += size_t(rows) * args.out.pitch();
    }
    return planes;
}

}  // namespace

TapClasses::TapClasses(const BinaryConvArgs& args) {
    const Window& w = args.window;
    row_of = classify(args.out.h, args.in.h, w.kh, w.sh, w.ph, w.dh, rows);
    column_of = classify(args.out.w, args.in.w, w.kw, w.sw, w.pw, w.dw, columns);
}

SlicedGeometry::SlicedGeometry(const BinaryConvArgs& args, const TapClasses& classes, int register_bytes)
    : bytes(register_bytes) {
    const Window& window = args.window;
    const int pitch = args.out.pitch(), map_bytes = args.out.h * pitch;
    pieces = map_bytes <= 8 ? bytes / 8 : 1;
    piece_bytes = bytes / pieces;
    blocks = (map_bytes + bytes - 1) / bytes;

    for (int kx = 0; kx < window.kw; kx++) shift.push_back(kx * window.dw - window.pw);
    planes = row_planes(args);
    size_t rows = 0;
    for (const SlicedPlane& plane : planes) rows += size_t(plane.rows);
    const bool whole_maps = window.sh == 1 && window.sw == 1 && args.in.pitch() == pitch;
    // Copies made row by row spill up to seven bytes, those of whole maps up to a register behind the last column.
    column_bytes = whole_maps ? rows * pitch : round_up(rows * pitch + 7, 8);
    channel_bytes = round_up(window.kw * column_bytes + bytes + 8, 8);
    mask_bytes = 0;
    if (whole_maps) {
        mask_bytes = round_up(rows * pitch + bytes, 8);
        column_mask.assign(window.kw * mask_bytes, 0);
        for (int kx = 0; kx < window.kw; kx++) {
            for (size_t row = 0; row < rows; row++) {
                const int y = planes[0].first + int(row);
                for (int x = 0; x < args.out.w && y >= 0 && y < args.in.h; x++) {
                    const int from = x + shift[kx];
                    if (from < 0 || from >= args.in.w) continue;
                    column_mask[kx * mask_bytes + row * pitch + x / 8] |= uint8_t(1 << (x % 8));
                }
            }
        }
    }

    for (int ky = 0; ky < window.kh; ky++) {
        const int row = floor_div(ky * window.dh - window.ph, window.sh);
        const int residue = ky * window.dh - window.ph - row * window.sh;
        const auto plane = std::find_if(planes.begin(), planes.end(), [&](auto& p) { return p.residue == residue; });
        for (int kx = 0; kx < window.kw; kx++) {
            if (!any_has(classes.rows, ky) || !any_has(classes.columns, kx)) continue;
            taps.push_back(ky * window.kw + kx);
            tap_offset.push_back(uint32_t(kx * column_bytes + plane->offset + size_t(row - plane->first) * pitch));
        }
    }

    valid.assign(size_t(blocks) * bytes, 0);
    for (int block = 0; block < blocks; block++) {
        for (int bit = 0; bit < 8 * bytes; bit++) {
            if (pixel(args.out, block, bit) >= 0) valid[size_t(block) * bytes + bit / 8] |= uint8_t(1 << (bit % 8));
        }
    }
    for (int byte = 0; byte < map_bytes; byte++) byte_pixel.push_back(byte / pitch * args.out.w + byte % pitch * 8);
}

void SlicedGeometry::describe(const BinaryConvArgs& args, SlicedView& v) const {
    v.in_channels = args.in.c;
    v.in_height = args.in.h;
    v.in_width = args.in.w;
    v.in_pitch = args.in.pitch();
    v.in_stride = args.in.stride();
    v.in_bytes = args.in.bit_bytes();
    v.out_height = args.out.h;
    v.out_width = args.out.w;
    v.out_pitch = args.out.pitch();
    v.row_step = args.window.sh;
    v.column_step = args.window.sw;
    v.columns = args.window.kw;
    v.shift = shift.data();
    v.planes = int(planes.size());
    v.plane = planes.data();
    v.column_bytes = column_bytes;
    v.channel_bytes = channel_bytes;
    v.column_mask = column_mask.empty() ? nullptr : column_mask.data();
    v.mask_bytes = mask_bytes;
    v.prepare_channels = 16;
    v.taps = int(taps.size());
    v.tap_offset = tap_offset.data();
}

int SlicedGeometry::pixel(const Shape& out, int block, int bit) const {
    if (pieces > 1) bit %= 8 * piece_bytes;
    const int byte = block * bytes + bit / 8, pitch = out.pitch();
    const int y = byte / pitch, x = byte % pitch * 8 + bit % 8;
    return y < out.h && x < out.w ? y * out.w + x : -1;
}

}  // namespace bw
