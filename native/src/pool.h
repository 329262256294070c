// A few threads that wait for work.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace bw {

class Pool {
public:
    Pool() = default;
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;
    ~Pool();

    // Calls work(thread) once for each thread 0 .. threads - 1, the caller being thread 0, and waits for all of them.
    // One call at a time; work must not throw. Allocates only when it starts threads.
    template <class Work>
    void run(int threads, Work& work) {
        run(threads, [](void* context, int thread) { (*static_cast<Work*>(context))(thread); }, &work);
    }

private:
    using Call = void (*)(void* context, int thread);

    void run(int threads, Call call, void* context);
    void serve(int thread, uint64_t seen);

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::atomic<uint64_t> round_{0};  // changes when there is work
    std::atomic<int> pending_{0};     // threads that have not finished the round
    int wanted_ = 0;                  // threads of this round; like what follows, changed under the mutex
    bool stop_ = false;
    Call call_ = nullptr;
    void* context_ = nullptr;
    std::vector<std::thread> workers_;
};

}  // namespace bw
