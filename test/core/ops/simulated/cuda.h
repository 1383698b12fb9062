// The CUDA that the kernels use, run one block after the other on the CPU. The threads of a block
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
#include <type_traits>
#include <utility>
#include <vector>

#define __device__
#define __restrict__

struct Index {
  unsigned x;
};
struct uint4 {
  unsigned x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace simulated {

inline void insist(bool claim, const char* what) {
  if (claim) return;
  std::fprintf(stderr, "simulated GPU: %s\n", what);
  std::abort();
}

constexpr int kWarpThreads = 32;

class Block {
 public:
  static constexpr int kMostThreads = 512;

  void run(int threads, const std::function<void()>& body) {
    insist(threads % kWarpThreads == 0 && threads <= kMostThreads, "a block is whole warps");
    body_ = &body;
    size_ = threads;
    arrived_ = 0;
    for (int i = 0; i < threads; ++i) {
      stacks_[i].resize(1 << 16);
      getcontext(&threads_[i]);
      threads_[i].uc_stack.ss_sp = stacks_[i].data();
      threads_[i].uc_stack.ss_size = stacks_[i].size();
      threads_[i].uc_link = nullptr;
      makecontext(&threads_[i], &Block::begin, 0);
      done_[i] = false;
    }
    for (bool running = true; running;) {
      running = false;
      for (int warp = 0; warp < threads; warp += kWarpThreads) {
        if (done_[warp]) continue;
        running = true;
        for (current_ = warp; current_ < warp + kWarpThreads; ++current_) {
          swapcontext(&scheduler_, &threads_[current_]);
        }
        const auto finished = std::count(done_ + warp, done_ + warp + kWarpThreads, true);
        insist(finished == 0 || finished == kWarpThreads, "threads of a warp parted");
      }
    }
  }

  // Hand in a value, wait for the warp's others, return the value of another of its threads.
  template <typename V>
  V exchange(V value, int from) {
    const int buffer = turn_[current_]++ & 1;
    std::memcpy(values_[buffer][current_], &value, sizeof(V));
    yield();
    std::memcpy(&value, values_[buffer][current_ - current_ % kWarpThreads + from], sizeof(V));
    return value;
  }

  // Wait for all threads of the block. Threads of a warp arrive and go on in step.
  void barrier() {
    const int phase = phase_;
    if (++arrived_ == size_) {
      arrived_ = 0;
      ++phase_;
    }
    do {
      yield();
    } while (phase == phase_);
  }

  int current() const { return current_; }
  void yield() { swapcontext(&threads_[current_], &scheduler_); }

  static Block& instance() {
    static Block block;
    return block;
  }

 private:
  static void begin() {
    Block& block = instance();
    (*block.body_)();
    block.done_[block.current_] = true;
    block.yield();
  }

  const std::function<void()>* body_ = nullptr;
  ucontext_t scheduler_, threads_[kMostThreads];
  std::vector<char> stacks_[kMostThreads];
  bool done_[kMostThreads];
  unsigned turn_[kMostThreads] = {};
  char values_[2][kMostThreads][16];
  int size_ = 0, current_ = 0, arrived_ = 0, phase_ = 0;
};

struct Range {
  const char *begin, *end;
};
inline std::vector<Range> readable;
inline Index block{0};

// Call `body` with shared memory for every thread of every block. It starts as NaN.
template <typename Body>
void launch(int blocks, int threads, int shared_bytes, const Body& body) {
  constexpr int kGuard = 64;
  std::vector<uint4> shared((shared_bytes + kGuard) / 16 + 1);
  char* const bytes = reinterpret_cast<char*>(shared.data());
  for (block.x = 0; block.x < static_cast<unsigned>(blocks); ++block.x) {
    std::memset(bytes, 0xff, shared_bytes + kGuard);
    Block::instance().run(threads, [&] { body(bytes); });
    const char* const guard = bytes + shared_bytes;
    insist(std::count(guard, guard + kGuard, '\xff') == kGuard, "shared memory overrun");
  }
}

}  // namespace simulated

#define blockIdx simulated::block
#define threadIdx \
  Index { static_cast<unsigned>(simulated::Block::instance().current()) }

inline void __syncwarp() { simulated::Block::instance().yield(); }
inline void __syncthreads() { simulated::Block::instance().barrier(); }

template <typename V>
V __shfl_xor_sync(unsigned mask, V value, int distance) {
  simulated::insist(mask == 0xffffffffu, "a shuffle is for the whole warp");
  simulated::Block& block = simulated::Block::instance();
  return block.exchange(value, (block.current() % simulated::kWarpThreads) ^ distance);
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
V atomicAdd(V* to, V value) {
  const V old = *to;
  *to += value;
  return old;
}
inline int atomicExch(int* to, int value) { return std::exchange(*to, value); }

using std::exp;
using std::floor;
using std::max;
using std::memcpy;
using std::min;

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

inline void add_mixed(const uint4 (&bits)[4], const float (&shares)[4], float (&sum)[8]) {
  Half x[4][8];
  std::memcpy(x, bits, sizeof(x));
  for (int i = 0; i < 8; ++i) {
    Half mix = Half(0.f);
    for (int k = 0; k < 4; ++k) {
      mix = Half(std::fma(float(Half(shares[k])), float(x[k][i]), float(mix)));
    }
    sum[i] += mix;
  }
}

inline void add_four(float* to, const float* x) {
  simulated::insist(reinterpret_cast<uintptr_t>(to) % 16 == 0, "an addition is not aligned");
  for (int i = 0; i < 4; ++i) to[i] += x[i];
}

}  // namespace pavenet
