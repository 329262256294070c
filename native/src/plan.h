// What a model becomes for one set of kernels: steps over buffers, all sizes known. A plan is immutable, so that any
// number of callers may run it, each with its own memory.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "arena.h"
#include "kernels/kernels.h"
#include "level_bits.h"
#include "memory.h"
#include "model.h"

namespace bw {

// The buffers of one sample in flight, by index. Buffer 0 is the input and buffer 1 the output; they are the caller's.
struct Memory {
    void* const* buffers;
    uint8_t* scratch;  // of the calling thread

    template <class T>
    T* at(int buffer) const {
        return static_cast<T*>(buffers[buffer]);
    }
};

constexpr int kInput = 0, kOutput = 1;

// A part of a step whose units do not depend on each other.
struct Phase {
    int units;
    double nanoseconds;  // of all units, roughly: whether threads pay
    std::function<void(const Memory&, int begin, int end)> run;
};

struct PlanTensor {
    Shape shape;
    std::string layout;
};

struct PlanStep {
    std::string name;                // of the first op, or of the Conv that reads pixels
    OpCode op;
    std::string kernel;
    std::vector<std::string> fused;  // names of the other ops that run in this step
    TensorType in, out;              // what it reads first and makes last
    std::vector<Phase> phases;       // one after another
    std::vector<PlanTensor> reads, writes;  // all tensors in memory that it reads, and writes
    std::vector<std::string> changes;       // of memory layout: "from -> to"
    size_t scratch_bytes = 0;               // of memory that only this step uses
};

// How a tensor lies in memory (tensor.h): "sliced bits", "planar float32", "row of bits", ...; is_short: real numbers
// as fixed-point ones of 16 bits.
std::string layout_name(const TensorType& type, bool is_short = false);

struct Plan {
    std::vector<PlanStep> steps;
    std::vector<Buffer> buffers;
    size_t arena_bytes = 0, scratch_bytes = 0;  // for each sample in flight; for each of its threads
    std::vector<Bytes> constants;               // packed weights and the like
    std::vector<std::unique_ptr<LevelTables>> levels;
    std::map<std::string, std::string> tuned;   // kernels that were chosen by timing: op name -> kernel name
};

// How the kernels of binary convolutions are chosen, by op name; by estimate where nothing else is said.
struct PlanOptions {
    std::map<std::string, std::string> choices;  // kernels to use, whatever they take
    bool tune = false;                           // time the kernels of all others
    std::map<std::string, std::string> known;    // what tuning found earlier; names of no kernel are passed over
};

// Throws std::invalid_argument if a choice names no binary convolution or no kernel for it. The plan points into the
// model.
Plan make_plan(const Model& model, const Kernels& kernels, const PlanOptions& options);

}  // namespace bw
