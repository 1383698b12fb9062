// The CUDA that the kernels use, run one warp after the other on the CPU. The 32 threads of a warp
// are contexts that take turns: each runs until it needs the others, as at a shuffle.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __device__
#define __restrict__

struct Index {
  unsigned x;
};
struct uint2 {
  unsigned x, y;
};
struct uint4 {
  unsigned x, y, z, w;
};

namespace simulated {

inline void insist(bool claim, const char* what) {
  if (claim) return;
  std::fprintf(stderr, "simulated GPU: %s\n", what);
  std::abort();
}

class Warp {
 public:
  static constexpr int kThreads = 32;

  void run(const std::function<void()>& body) {
    body_ = &body;
    for (int i = 0; i < kThreads; ++i) {
      stacks_[i].resize(1 << 17);
      getcontext(&threads_[i]);
      threads_[i].uc_stack.ss_sp = stacks_[i].data();
      threads_[i].uc_stack.ss_size = stacks_[i].size();
      threads_[i].uc_link = nullptr;
      makecontext(&threads_[i], &Warp::begin, 0);
      done_[i] = false;
    }
    do {
      for (current_ = 0; current_ < kThreads; ++current_) {
        swapcontext(&scheduler_, &threads_[current_]);
      }
      const int finished = static_cast<int>(std::count(done_, done_ + kThreads, true));
      insist(finished == 0 || finished == kThreads, "threads of a warp parted");
    } while (!done_[0]);
  }

  // Hand in a value, wait for the others, return the value of another thread.
  template <typename V>
  V exchange(V value, int from) {
    const int buffer = turn_[current_]++ & 1;
    std::memcpy(values_[buffer][current_], &value, sizeof(V));
    yield();
    std::memcpy(&value, values_[buffer][from], sizeof(V));
    return value;
  }

  int current() const { return current_; }
  void yield() { swapcontext(&threads_[current_], &scheduler_); }

  static Warp& instance() {
    static Warp warp;
    return warp;
  }

 private:
  static void begin() {
    Warp& warp = instance();
    (*warp.body_)();
    warp.done_[warp.current_] = true;
    warp.yield();
  }

  const std::function<void()>* body_ = nullptr;
  ucontext_t scheduler_, threads_[kThreads];
  std::vector<char> stacks_[kThreads];
  bool done_[kThreads];
  unsigned turn_[kThreads] = {};
  char values_[2][kThreads][16];
  int current_ = 0;
};

struct Range {
  const char *begin, *end;
};
inline std::vector<Range> readable;
inline Index block{0};
inline unsigned first_thread = 0;

// Call `body` with shared memory for every thread of every block. It starts as NaN.
template <typename Body>
void launch(int blocks, int threads, int shared_bytes, const Body& body) {
  constexpr int kGuard = 64;
  insist(threads % Warp::kThreads == 0, "a block is whole warps");
  std::vector<uint4> shared((shared_bytes + kGuard) / 16 + 1);
  char* const bytes = reinterpret_cast<char*>(shared.data());
  for (block.x = 0; block.x < static_cast<unsigned>(blocks); ++block.x) {
    std::memset(bytes, 0xff, shared_bytes + kGuard);
    for (first_thread = 0; first_thread < static_cast<unsigned>(threads); first_thread += 32) {
      Warp::instance().run([&] { body(bytes); });
    }
    const char* const guard = bytes + shared_bytes;
    insist(std::count(guard, guard + kGuard, '\xff') == kGuard, "shared memory overrun");
  }
}

}  // namespace simulated

#define blockIdx simulated::block
#define threadIdx \
  Index { simulated::first_thread + simulated::Warp::instance().current() }

inline void __syncwarp() { simulated::Warp::instance().yield(); }

template <typename V>
V __shfl_xor_sync(unsigned mask, V value, int distance) {
  simulated::insist(mask == 0xffffffffu, "a shuffle is for the whole warp");
  simulated::Warp& warp = simulated::Warp::instance();
  return warp.exchange(value, warp.current() ^ distance);
}

inline bool __any_sync(unsigned mask, bool claim) {
  int any = claim;
  for (int distance = 1; distance < 32; distance *= 2) any |= __shfl_xor_sync(mask, any, distance);
  return any;
}

template <typename V>
V __ldg(const V* from) {
  const char* const begin = reinterpret_cast<const char*>(from);
  simulated::insist(reinterpret_cast<uintptr_t>(from) % sizeof(V) == 0, "a read is not aligned");
  const auto holds = [&](const simulated::Range& range) {
    return begin >= range.begin && begin + sizeof(V) <= range.end;
  };
  simulated::insist(std::any_of(simulated::readable.begin(), simulated::readable.end(), holds),
                    "a read outside the values");
  V value;
  std::memcpy(&value, from, sizeof(V));
  return value;
}

template <typename V>
void atomicAdd(V* to, V value) {
  *to += value;
}

using std::exp;
using std::floor;
using std::max;
using std::memcpy;

namespace pavenet {

using Half = c10::Half;
using Bfloat16 = c10::BFloat16;

inline double widen(double x) { return x; }
inline float widen(float x) { return x; }
inline float widen(Half x) { return x; }
inline float widen(Bfloat16 x) { return x; }

template <typename A, typename T>
void narrow(A x, T* to) {
  *to = static_cast<T>(x);
}

inline void add_four(float* to, const float* x) {
  simulated::insist(reinterpret_cast<uintptr_t>(to) % 16 == 0, "an addition is not aligned");
  for (int i = 0; i < 4; ++i) to[i] += x[i];
}

}  // namespace pavenet
