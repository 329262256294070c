// How a plan is built: one function for each kind of group, in *_steps.cpp.
#pragma once
#include "chain.h"
#include "fuse.h"
#include "plan.h"
#include "tune.h"

namespace bw {

// Layouts of what is not in memory.
constexpr char kCounts[] = "counts", kFloats[] = "float32 in registers";

class Builder {
public:
    Builder(const Model& model, const Kernels& kernels, const PlanOptions& options)
        : model_(model), kernels_(kernels), options_(options), readers_(find_readers(model)), tuner_(kernels) {}

    Plan build();

private:
    // binary_steps.cpp
    void add_binary(const Group& group);
    void add_window_sum(int op);
    void add_conv_to(int op, const BinaryConvArgs& args, PlanStep& step, int buffer);
    void add_conv_through(const Group& group, const BinaryConvArgs& args, PlanStep& step);
    std::shared_ptr<const BinaryConv> start_conv(int op, const BinaryConvArgs& args, PlanStep& step, int& to_scratch);
    const LevelBits* level_bits(const Group& group, const BinaryConvArgs& args);
    void add_binary_linear(const Group& group);
    const uint64_t* rows_of_words(const Blob& bits, int length, int rows);
    void add_bit_pool(int pool, int threshold, int from);
    std::unique_ptr<BinaryConv> choose(const Op& op, const BinaryConvArgs& args);
    std::unique_ptr<BinaryConv> tune(const Op& op, const BinaryConvArgs& args);
    // real_steps.cpp
    void add_conv(const Group& group);
    void add_pixel_conv(int op);
    void add_linear(int op);
    void add_mean(int op);
    void add_avg_pool(int op);
    void add_chain(const Group& group);
    // The steps of a group's ops from the `first`-th on, for the newest step of the plan.
    Chain make_chain(const Group& group, size_t first);
    const PixelClass* pixel_classes(const Op& shift);
    // glue_steps.cpp
    void add_max_pool(int op);
    void add_threshold(int op);
    void add_thermometer(int op);
    void add_decode(int op);
    void add_flatten(int op);
    void add_pad_channels(int op);
    void add_concat(int op);
    void add_channels(int op);
    void add_copy();

    void add_single(int op);

    // A new step, which runs `op` and perhaps others.
    PlanStep& begin(int op, const char* kernel);
    // The buffer of a tensor that the newest step reads, or writes.
    int read(int tensor);
    int write(int tensor);
    // Notes that the newest step brings data into another layout.
    void add_change(const std::string& from, const std::string& to);
    // A buffer that only the newest step uses.
    int temporary(size_t bytes);
    int touch(int buffer);

    // Memory that lives as long as the plan.
    uint8_t* keep(size_t bytes);
    // A blob of bits as bytes, or null if it is absent.
    uint8_t* keep_bits(const Blob& blob);

    const Op& op(int index) const { return model_.ops[index]; }
    const TensorType& input(int index, int i = 0) const { return model_.type(op(index).inputs[i]); }
    std::string layout(int tensor) const { return layout_name(model_.type(tensor), is_short(tensor)); }
    // Whether a tensor is in memory as fixed-point numbers of 16 bits.
    bool is_short(int tensor) const;
    bool is_read_outside(int tensor, const Group& group) const;

    const Model& model_;
    const Kernels& kernels_;
    const PlanOptions& options_;
    const std::vector<std::vector<int>> readers_;
    Tuner tuner_;
    Plan plan_;
    std::vector<int> root_;       // the tensor whose memory a tensor shares
    std::vector<int> buffer_of_;  // by root, -1: none yet
};

// Channels of a step's range: one unit is a channel of a map, or 8 elements of a vector.
struct ChannelRange {
    int channels, grain;

    explicit ChannelRange(const Shape& shape) : channels(shape.c), grain(shape.vector ? 8 : 1) {}
    int units() const { return (channels + grain - 1) / grain; }
    int at(int unit) const { return unit * grain < channels ? unit * grain : channels; }
};

}  // namespace bw
