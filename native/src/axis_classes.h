// Classes of the rows, or of the columns, of a convolution's output: neighbours for which the same rows (columns) of
// the kernel lie inside the image. The twin of class_starts in src/bitwright/ir/windows.py.
#pragma once
#include <vector>

#include "tensor.h"

namespace bw {

struct AxisClasses {
    std::vector<int> starts;  // the first of each class, ascending

    int count() const { return int(starts.size()); }
    void fill(int* classes, int outputs) const;  // the class of each output
};

AxisClasses row_classes(int in, int out, const Window&);
AxisClasses column_classes(int in, int out, const Window&);

}  // namespace bw
