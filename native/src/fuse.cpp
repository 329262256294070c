#include "fuse.h"

#include <algorithm>

namespace bw {
bool is_elementwise(OpCode code) {
    switch (code) {
        case OpCode::affine:
        case OpCode::level_sum:
        case OpCode::add:
        case OpCode::multiply:
        case OpCode::sigmoid:
        case OpCode::tanh:
        case OpCode::shift:
        case OpCode::prelu:
        case OpCode::clamp:
        case OpCode::fixed_point: return true;
        default: return false;
    }
}

bool has_two_mains(const Model& model, const Op& op) {
    if (op.code != OpCode::add && op.code != OpCode::multiply) return false;
    const Shape &a = model.type(op.inputs[0]).shape, &b = model.type(op.inputs[1]).shape;
    return a.c == b.c && a.h == b.h && a.w == b.w && a.vector == b.vector;
}

bool makes_bits(OpCode code) { return code == OpCode::binarize || code == OpCode::quantize; }

namespace {

class Fuser {
public:
    explicit Fuser(const Model& model)
        : model_(model), readers_(find_readers(model)), group_of_(model.ops.size(), -1) {}

    std::vector<Group> run() {
        for (int i = 0; i < int(model_.ops.size()); ++i) {
            if (group_of_[i] >= 0) continue;
            const OpCode code = model_.ops[i].code;
            if (code == OpCode::binary_conv || code == OpCode::binary_linear) {
                take_threshold(i);
            } else if (makes_bits(code)) {
                if (!join_as_tap(i)) start_chain(i, 0);
            } else if (is_elementwise(code)) {
                if (take_pixels(i)) continue;
                if (!extend_chain(i)) start_chain(i, 0);
            } else if (code == OpCode::conv) {
                take_conv(i);
            } else {
                start(i, Group::single);
            }
        }
        std::vector<int> order;
        for (int g = 0; g < int(groups_.size()); ++g) take_sums(g);
        for (int g = 0; g < int(groups_.size()); ++g) {
            if (!groups_[g].ops.empty()) order.push_back(g);
        }
        std::sort(order.begin(), order.end(), [&](int a, int b) { return slots_[a] < slots_[b]; });
        std::vector<Group> sorted;
        for (int g : order) sorted.push_back(std::move(groups_[g]));
        return sorted;
    }

private:
    // A group runs in the place of one of its ops, its slot. No two groups have the same.
    int start(int op, Group::Form form) {
        groups_.push_back({form, {op}});
        slots_.push_back(op);
        tails_.push_back(-1);
        group_of_[op] = int(groups_.size()) - 1;
        return group_of_[op];
    }

    void start_chain(int op, int operand) {
        const int g = start(op, Group::chain);
        tails_[g] = makes_bits(model_.ops[op].code) ? model_.ops[op].inputs[operand] : op + 1;
    }

    // The only op that reads what `op` makes, or -1.
    int only_reader(int op) const {
        const std::vector<int>& readers = readers_[op + 1];
        return readers.size() == 1 ? readers[0] : -1;
    }

    void take_threshold(int op) {
        int next = only_reader(op), pool = -1;
        if (next >= 0 && model_.ops[next].code == OpCode::max_pool) pool = next, next = only_reader(pool);
        const bool is_gated = model_.ops[op].code == OpCode::binary_conv && model_.ops[op].blobs[1];
        if (next < 0 || model_.ops[next].code != OpCode::threshold || is_gated) {
            start(op, Group::single);
            return;
        }
        const int g = start(op, Group::threshold);
        for (int member : {pool, next}) {
            if (member >= 0) groups_[g].ops.push_back(member), group_of_[member] = g;
        }
    }

    bool take_pixels(int op) {
        const int next = only_reader(op);
        if (model_.ops[op].code != OpCode::affine || model_.type(model_.ops[op].inputs[0]).kind != Kind::pixel ||
            next < 0 || model_.ops[next].code != OpCode::conv) {
            return false;
        }
        take_conv(next);
        std::vector<int>& members = groups_[group_of_[next]].ops;
        members.insert(members.begin(), op);
        group_of_[op] = group_of_[next];
        return true;
    }

    void take_conv(int op) {
        const int g = start(op, Group::conv), next = only_reader(op);
        if (next < 0 || model_.ops[next].code != OpCode::affine || op + 1 == model_.output()) return;
        groups_[g].ops.push_back(next);
        group_of_[next] = g;
    }

    // The chain that makes a tensor, or that reads it first of all; -1 if there is none.
    int chain_with(int tensor) const {
        if (tensor > 0 && group_of_[tensor - 1] >= 0 && groups_[group_of_[tensor - 1]].form == Group::chain) {
            return makes_bits(model_.ops[tensor - 1].code) ? -1 : group_of_[tensor - 1];
        }
        for (int reader : readers_[tensor]) {
            const int g = group_of_[reader];
            if (g >= 0 && groups_[g].form == Group::chain && first_input(g) == tensor) return g;
        }
        return -1;
    }

    int first_input(int g) const { return model_.ops[groups_[g].ops[0]].inputs[0]; }

    bool is_full(int g) const { return int(groups_[g].ops.size()) >= kMaxChain; }

    // What makes bits reads one tensor only, so it may run wherever that tensor passes by.
    bool join_as_tap(int op) {
        const int tensor = model_.ops[op].inputs[0];
        const int g = chain_with(tensor);
        if (g < 0 || is_full(g) || model_.type(tensor).kind != Kind::real) return false;
        std::vector<int>& members = groups_[g].ops;
        const auto producer = std::find(members.begin(), members.end(), tensor - 1);
        members.insert(producer == members.end() ? members.begin() : producer + 1, op);
        group_of_[op] = g;
        return true;
    }

    // Appends an op to the chain whose last result is one of its operands.
    bool extend_chain(int op) {
        const Op& next = model_.ops[op];
        const size_t mains = has_two_mains(model_, next) ? 2 : 1;
        for (size_t operand = 0; operand < mains; ++operand) {
            const int tensor = next.inputs[operand];
            const int g = chain_with(tensor);
            if (g < 0 || is_full(g) || tails_[g] != tensor || !others_allow(op, operand, g)) continue;
            groups_[g].ops.push_back(op);
            tails_[g] = op + 1;
            group_of_[op] = g;
            return true;
        }
        return false;
    }

    // Whether the other operands of `op` are there when chain g runs. To that end the chain may move to the place of
    // the op, if nothing before it reads what the chain makes.
    bool others_allow(int op, size_t operand, int g) {
        bool wait = false;
        const std::vector<int>& inputs = model_.ops[op].inputs;
        for (size_t i = 0; i < inputs.size(); ++i) {
            if (i == operand || inputs[i] == 0) continue;
            const int maker = group_of_[inputs[i] - 1];
            if (maker == g) return false;  // it has not been stored yet
            wait = wait || slots_[maker] > slots_[g];
        }
        if (!wait) return true;
        for (int member : groups_[g].ops) {
            for (int reader : readers_[member + 1]) {
                if (reader < op && group_of_[reader] != g) return false;
            }
        }
        slots_[g] = op;
        return true;
    }

    // A binary convolution runs where the chain on its sums does.
    void take_sums(int g) {
        if (groups_[g].form != Group::chain) return;
        const int conv = first_input(g) - 1;
        if (conv < 0 || model_.ops[conv].code != OpCode::binary_conv || conv + 1 == model_.output()) return;
        if (only_reader(conv) < 0) return;
        groups_[group_of_[conv]].ops.clear();
        group_of_[conv] = g;
        groups_[g].ops.insert(groups_[g].ops.begin(), conv);
        groups_[g].form = Group::tail;
    }

    const Model& model_;
    const std::vector<std::vector<int>> readers_;
    std::vector<int> group_of_;
    std::vector<Group> groups_;
    std::vector<int> slots_, tails_;  // by group; the tail of a chain is the tensor that can be continued
};

}  // namespace

std::vector<std::vector<int>> find_readers(const Model& model) {
    std::vector<std::vector<int>> readers(model.ops.size() + 1);
    for (size_t i = 0; i < model.ops.size(); ++i) {
        for (int tensor : model.ops[i].inputs) readers[tensor].push_back(int(i));
    }
    return readers;
}

std::vector<Group> fuse(const Model& model) { return Fuser(model).run(); }

}  // namespace bw
