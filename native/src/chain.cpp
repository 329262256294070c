#include "chain.h"

#include "builder.h"

namespace bw {

Step& Chain::append(Step::Op op, int source, int target) {
    sources_[count_] = source;
    targets_[count_] = target;
    steps_[count_].op = op;
    return steps_[count_++];
}

Chain::Steps Chain::bind(const Memory& m) const {
    Steps bound = steps_;
    for (int i = 0; i < count_; ++i) {
        if (sources_[i] >= 0) bound[i].source = m.at<const void>(sources_[i]);
        if (targets_[i] >= 0) bound[i].target = m.at<void>(targets_[i]);
    }
    return bound;
}

Chain Builder::make_chain(const Group& group, size_t first) {
    Chain chain;
    int tail = op(group.ops[first]).inputs[0];
    const Kind kind = model_.type(tail).kind;
    const Step::Op load = kind == Kind::sum ? Step::load_sum : kind == Kind::pixel ? Step::load_pixel : Step::load_real;
    chain.append(load, first ? -1 : read(tail));
    const std::string registers = "float32 in registers";
    if (first) {
        add_change("counts in registers", registers);
    } else if (kind != Kind::real) {
        add_change(layout_name(model_.type(tail)), registers);
    }
    for (size_t i = first; i < group.ops.size(); ++i) {
        const int index = group.ops[i];
        const Op& o = op(index);
        switch (o.code) {
            case OpCode::affine: {
                Step& s = chain.append(Step::affine);
                s.a = o.blobs[0].floats(), s.b = o.blobs[1].floats();
                break;
            }
            case OpCode::level_sum: {
                Step& s = chain.append(Step::level_sum, read(o.inputs[1]));
                s.a = o.blobs[0].floats(), s.b = o.blobs[1].floats(), s.c = o.blobs[2].floats();
                s.channels_per_group = o.out.shape.c / input(index, 1).shape.c;
                break;
            }
            case OpCode::add: chain.append(Step::add, read(o.inputs[o.inputs[0] == tail ? 1 : 0])); break;
            case OpCode::prelu: chain.append(Step::prelu).a = o.blobs[0].floats(); break;
            case OpCode::clamp: {
                Step& s = chain.append(Step::clamp);
                s.low = o.low, s.high = o.high;
                break;
            }
            default:  // Binarize, which leaves the tail as it is
                add_change(registers, layout_name(o.out));
                chain.append(Step::binarize, -1, write(index + 1)).a = o.blobs[0].floats();
                continue;
        }
        tail = index + 1;
        if (is_read_outside(tail, group)) chain.append(Step::store, -1, write(tail));
    }
    return chain;
}

}  // namespace bw
