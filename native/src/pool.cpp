#include "pool.h"

namespace bw {
namespace {

// Layers follow each other within microseconds: looking for a while is cheaper than sleeping.
template <class Condition>
bool spin_until(Condition condition) {
    for (int i = 0; i < 4000; ++i) {
        if (condition()) return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
    }
    return false;
}

}  // namespace

Pool::~Pool() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stop_ = true;
        round_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

void Pool::run(int threads, Call call, void* context) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        while (int(workers_.size()) < threads - 1) {
            workers_.emplace_back(&Pool::serve, this, int(workers_.size()) + 1, round_.load());
        }
        call_ = call;
        context_ = context;
        wanted_ = threads;
        pending_.store(threads - 1);
        round_.fetch_add(1);
    }
    wake_.notify_all();
    call(context, 0);
    const auto finished = [this] { return pending_.load() == 0; };
    if (spin_until(finished)) return;
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, finished);
}

void Pool::serve(int thread, uint64_t seen) {
    const auto changed = [&] { return round_.load() != seen; };
    for (;;) {
        spin_until(changed);
        Call call;
        void* context;
        {
            std::unique_lock<std::mutex> lock(mutex_);
            wake_.wait(lock, changed);
            if (stop_) return;
            seen = round_.load();
            if (thread >= wanted_) continue;
            call = call_, context = context_;
        }
        call(context, thread);
        if (pending_.fetch_sub(1) == 1) {
            const std::lock_guard<std::mutex> lock(mutex_);  // the caller is either before its check or asleep
            done_.notify_one();
        }
    }
}

}  // namespace bw
