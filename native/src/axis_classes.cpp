#include "axis_classes.h"

#include <algorithm>

namespace bw {
namespace {

int ceil_div(int a, int b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

AxisClasses classify(int in, int out, int kernel, int stride, int padding, int dilation) {
    std::vector<int> starts = {0};
    for (int tap = 0; tap < kernel; ++tap) {
        const int offset = tap * dilation - padding;  // output o sees o * stride + offset
        const int first = std::max(0, ceil_div(-offset, stride)), end = std::min(out, ceil_div(in - offset, stride));
        if (first >= end) continue;
        if (first > 0) starts.push_back(first);
        if (end < out) starts.push_back(end);
    }
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    return {starts};
}

}  // namespace

void AxisClasses::fill(int* classes, int outputs) const {
    for (int i = 0; i < count(); ++i) {
        std::fill(classes + starts[i], classes + (i + 1 < count() ? starts[i + 1] : outputs), i);
    }
}

AxisClasses row_classes(int in, int out, const Window& w) {
    return classify(in, out, w.kh, w.sh, w.ph, w.dh);
}

AxisClasses column_classes(int in, int out, const Window& w) {
    return classify(in, out, w.kw, w.sw, w.pw, w.dw);
}

}  // namespace bw
