// Runs a model.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "plan.h"
#include "pool.h"

namespace bw {

struct EngineOptions {
    std::string isa;          // empty: BITWRIGHT_ISA, else the best that the processor has
    PlanOptions plan;
    double split_above = 20;  // microseconds of work below which a layer stays on one thread
};

struct Timing {
    double median, least;  // microseconds
};

class Engine {
public:
    // Throws std::invalid_argument if an option names what is not there.
    Engine(Model model, const EngineOptions& options);
    ~Engine();

    const Model& model() const { return model_; }
    const Plan& plan() const { return plan_; }
    const Kernels& kernels() const { return kernels_; }

    // A batch of samples, one after another. Any number of callers at once: each uses memory of its own, kept for the
    // next call. Threads share the samples if there are as many, else the units of each layer; when another caller
    // has the threads, this one works alone. The result is the same in every case.
    // Throws std::invalid_argument if an input value is not finite.
    void run(const void* x, size_t samples, float* y, int threads);

    // Time of each step on one sample and one thread.
    std::vector<Timing> profile(const void* x, int runs);

private:
    struct Frame;
    struct Lease;

    void run_sample(Frame& frame, const void* x, float* y);
    void run_sample_on(Pool& pool, int threads, Frame& frame, const void* x, float* y);
    void check_input(const void* x, size_t samples) const;
    Pool& pool();

    const Model model_;
    const Kernels& kernels_;
    const Plan plan_;
    const double split_above_;
    std::mutex frames_mutex_, pool_mutex_;
    std::vector<std::unique_ptr<Frame>> frames_;  // those not in use
    std::unique_ptr<Pool> pool_;
    int process_ = 0;  // that started the threads
};

}  // namespace bw
