// One call of the operator in plain numbers, and how it is cut into blocks. Host and device.
#pragma once

#ifdef __CUDACC__
#define PAVENET_HOST_DEVICE __host__ __device__
#else
#define PAVENET_HOST_DEVICE
#endif

namespace pavenet {

constexpr int kMaxLevels = 16;
constexpr int kMaxSamples = 1024;  // frames * levels * points
constexpr int kWarp = 32;
constexpr int kThreads = 128;  // of a block, at most
constexpr int kVectorBytes = 16;  // what one thread reads or adds at once
constexpr int kSharedBytes = 48 * 1024;

struct Level {
  int height, width, first;  // first: its first token in a frame
};

// value (B, T, S, M, c), locations (B, Q, T, M, L, P, 2), weights (B, Q, T, M, L, P)
struct Problem {
  int batch, queries, frames, tokens, heads, channels, levels, points;
  long long batch_bytes;  // strides of the values; (frame, token) is one axis
  int token_bytes, head_bytes;
  bool softmax;  // the weights are logits
  Level level[kMaxLevels];

  PAVENET_HOST_DEVICE int samples() const { return frames * levels * points; }
};

// A slot is the threads of one warp that make one head of one query: `splits` groups, which share
// the samples, of `lanes` threads, which share the channels. All powers of two.
struct Schedule {
  int threads, lane_bits, slot_bits;
  int blocks, shared_bytes;
  unsigned per_frame, per_level;  // see `divide`
};

// 1/divisor in 20 bits: exact for numbers and divisors up to 1024 (kMaxSamples).
PAVENET_HOST_DEVICE inline unsigned reciprocal(int divisor) {
  return ((1u << 20) + divisor - 1) / divisor;
}
PAVENET_HOST_DEVICE inline int divide(int number, unsigned factor) {
  return static_cast<int>(static_cast<unsigned>(number) * factor >> 20);
}

}  // namespace pavenet
