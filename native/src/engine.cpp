#include "engine.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>

#include "dispatch.h"

namespace bw {

// Memory of one sample in flight.
struct Engine::Frame {
    explicit Frame(const Plan& plan) : arena(allocate(plan.arena_bytes)), scratch_bytes(plan.scratch_bytes) {
        for (const Buffer& buffer : plan.buffers) buffers.push_back(arena.get() + buffer.offset);
        need_threads(1);
    }

    void need_threads(size_t n) {
        while (scratch.size() < n) scratch.push_back(allocate(scratch_bytes));
    }

    void bind(const void* x, float* y) {
        buffers[kInput] = const_cast<void*>(x);  // steps read it only
        buffers[kOutput] = y;
    }

    Memory memory(int thread = 0) const { return {buffers.data(), scratch[thread].get()}; }

    Bytes arena;
    size_t scratch_bytes;
    std::vector<Bytes> scratch;  // of each thread
    std::vector<void*> buffers;
};

// Frames taken from the engine for one call.
struct Engine::Lease {
    Lease(Engine& engine, size_t count) : engine(engine) {
        {
            const std::lock_guard<std::mutex> lock(engine.frames_mutex_);
            while (frames.size() < count && !engine.frames_.empty()) {
                frames.push_back(std::move(engine.frames_.back()));
                engine.frames_.pop_back();
            }
        }
        while (frames.size() < count) frames.push_back(std::make_unique<Frame>(engine.plan_));
    }

    ~Lease() {
        const std::lock_guard<std::mutex> lock(engine.frames_mutex_);
        for (auto& frame : frames) engine.frames_.push_back(std::move(frame));
    }

    Engine& engine;
    std::vector<std::unique_ptr<Frame>> frames;
};

Engine::Engine(Model model, const EngineOptions& options)
    : model_(std::move(model)),
      kernels_(find_kernels(options.isa)),
      plan_(make_plan(model_, kernels_, options.plan)),
      split_above_(options.split_above) {}

Engine::~Engine() {
    if (process_ != ::getpid()) static_cast<void>(pool_.release());
}

// A child of fork() has none of its parent's threads, and cannot join them: it starts its own.
Pool& Engine::pool() {
    if (process_ != ::getpid()) {
        static_cast<void>(pool_.release());
        pool_ = std::make_unique<Pool>();
        process_ = ::getpid();
    }
    return *pool_;
}

void Engine::check_input(const void* x, size_t samples) const {
    if (model_.input.kind != Kind::real) return;
    const size_t elements = samples * model_.input.shape.elements();
    uint32_t bad = 0;
    for (size_t i = 0; i < elements; ++i) {
        uint32_t bits;
        std::memcpy(&bits, static_cast<const float*>(x) + i, sizeof bits);
        bad |= uint32_t((bits & 0x7F800000) == 0x7F800000);  // all ones in the exponent: infinite or not a number
    }
    if (bad) throw std::invalid_argument("The input: expected finite values, found infinity or NaN.");
}

void Engine::run(const void* x, size_t samples, float* y, int threads) {
    check_input(x, samples);
    const size_t in_bytes = model_.input.bytes(), out_elements = model_.type(model_.output()).shape.elements();
    const auto source = [&](size_t i) { return static_cast<const uint8_t*>(x) + i * in_bytes; };
    const auto target = [&](size_t i) { return y + i * out_elements; };

    std::unique_lock<std::mutex> owns_pool(pool_mutex_, std::defer_lock);
    if (threads > 1 && samples > 0) owns_pool.try_lock();
    if (!owns_pool.owns_lock()) {
        Lease lease(*this, 1);
        for (size_t i = 0; i < samples; ++i) run_sample(*lease.frames[0], source(i), target(i));
    } else if (samples >= size_t(threads)) {
        Lease lease(*this, size_t(threads));
        std::atomic<size_t> next{0};
        auto work = [&](int thread) {
            for (size_t i; (i = next.fetch_add(1)) < samples;) run_sample(*lease.frames[thread], source(i), target(i));
        };
        pool().run(threads, work);
    } else {
        Lease lease(*this, 1);
        lease.frames[0]->need_threads(size_t(threads));
        for (size_t i = 0; i < samples; ++i) run_sample_on(pool(), threads, *lease.frames[0], source(i), target(i));
    }
}

void Engine::run_sample(Frame& frame, const void* x, float* y) {
    frame.bind(x, y);
    const Memory memory = frame.memory();
    for (const PlanStep& step : plan_.steps) {
        for (const Phase& phase : step.phases) phase.run(memory, 0, phase.units);
    }
}

void Engine::run_sample_on(Pool& pool, int threads, Frame& frame, const void* x, float* y) {
    frame.bind(x, y);
    for (const PlanStep& step : plan_.steps) {
        for (const Phase& phase : step.phases) {
            const int share = std::min(threads, phase.units);
            if (share < 2 || phase.nanoseconds < split_above_ * 1000) {
                phase.run(frame.memory(), 0, phase.units);
                continue;
            }
            // a few parts for each thread, so that one that is held up does not hold up the others
            const int parts = std::min(4 * share, phase.units);
            std::atomic<int> next{0};
            auto work = [&](int thread) {
                for (int part; (part = next.fetch_add(1)) < parts;) {
                    const auto bound = [&](int k) { return int(int64_t(phase.units) * k / parts); };
                    phase.run(frame.memory(thread), bound(part), bound(part + 1));
                }
            };
            pool.run(share, work);
        }
    }
}

std::vector<Timing> Engine::profile(const void* x, int runs) {
    check_input(x, 1);
    Lease lease(*this, 1);
    Frame& frame = *lease.frames[0];
    std::vector<float> y(model_.type(model_.output()).shape.elements());
    std::vector<std::vector<double>> times(plan_.steps.size());
    for (int run = -1; run < runs; ++run) {  // the first one warms up
        frame.bind(x, y.data());
        for (size_t i = 0; i < plan_.steps.size(); ++i) {
            const auto start = std::chrono::steady_clock::now();
            for (const Phase& phase : plan_.steps[i].phases) phase.run(frame.memory(), 0, phase.units);
            const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
            if (run >= 0) times[i].push_back(time.count());
        }
    }
    std::vector<Timing> result;
    for (std::vector<double>& t : times) {
        std::sort(t.begin(), t.end());
        const size_t half = t.size() / 2;
        result.push_back({t.size() % 2 ? t[half] : (t[half - 1] + t[half]) / 2, t[0]});
    }
    return result;
}

}  // namespace bw
