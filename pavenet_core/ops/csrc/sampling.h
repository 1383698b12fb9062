// Where a sample lies, what a thread works on, and reading and adding vectors of channels.
#pragma once

#include "problem.h"

namespace pavenet {

template <typename T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <typename T>
using Accumulator = typename AccumulatorOf<T>::type;

// How many channels a thread has: forward as many as it reads in 16 bytes, backward as many as it
// adds in 16 bytes, so that as many threads add in half precision as in float.
template <typename T>
constexpr int kVector = kVectorBytes / sizeof(T);
template <typename T>
constexpr int kGradientVector = kVectorBytes / sizeof(Accumulator<T>);

// N channels as they are read, at once.
template <int kBytes>
struct BitsOf;
template <>
struct BitsOf<16> {
  using type = uint4;
};
template <>
struct BitsOf<8> {
  using type = uint2;
};
template <typename T, int N>
using Bits = typename BitsOf<N * sizeof(T)>::type;

template <typename A>
struct alignas(16) Quad {
  A of[4];
};
struct alignas(16) Corners {
  int token[4];  // top left, top right, bottom left, bottom right; -1 outside the map
};

template <typename A>
struct Sample {
  A x, y;  // fractions of a cell, right of and below the top left corner's centre
  Corners corners;

  PAVENET_HOST_DEVICE A share(int corner) const {
    return (corner & 1 ? x : 1 - x) * (corner & 2 ? y : 1 - y);
  }
};

// x, y in [0, 1] of the map. Outside the map, and where they are not numbers, nothing is sampled.
template <typename A>
PAVENET_HOST_DEVICE Sample<A> locate(A x, A y, const Level& level, int first) {
  Sample<A> sample{0, 0, {{-1, -1, -1, -1}}};
  const A column = x * level.width - A(0.5), row = y * level.height - A(0.5);
  if (column > -1 && row > -1 && column < level.width && row < level.height) {
    const int left = static_cast<int>(floor(column)), top = static_cast<int>(floor(row));
    sample.x = column - left;
    sample.y = row - top;
    const int token = first + top * level.width + left;
    const bool west = left >= 0, east = left + 1 < level.width;
    const bool north = top >= 0, south = top + 1 < level.height;
    if (north && west) sample.corners.token[0] = token;
    if (north && east) sample.corners.token[1] = token + 1;
    if (south && west) sample.corners.token[2] = token + level.width;
    if (south && east) sample.corners.token[3] = token + level.width + 1;
  }
  return sample;
}

// A thread's part of the work. Consecutive slots are consecutive queries of one head, which tend
// to sample the same neighbourhood.
struct Place {
  int batch, head, query;
  int slot, split, lane, rank;  // rank: of the thread in its slot
  int slots, threads, splits, lanes;  // of the block; of the slot
  int samples;                        // of the slot: none if there is no such query
  bool active;
};

__device__ inline Place place(const Problem& problem, const Schedule& cut) {
  Place at;
  at.slots = cut.threads >> cut.slot_bits;
  at.threads = 1 << cut.slot_bits;
  at.lanes = 1 << cut.lane_bits;
  at.splits = at.threads >> cut.lane_bits;
  const int tiles = (problem.queries + at.slots - 1) / at.slots;
  const int block = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  at.slot = thread >> cut.slot_bits;
  at.rank = thread & (at.threads - 1);
  at.lane = at.rank & (at.lanes - 1);
  at.split = at.rank >> cut.lane_bits;
  at.query = block % tiles * at.slots + at.slot;
  at.head = block / tiles % problem.heads;
  at.batch = block / tiles / problem.heads;
  at.active = at.query < problem.queries;
  at.samples = at.active ? problem.samples() : 0;
  return at;
}

// The samples of one slot in `locations` and `weights`, counted over frames, levels and points.
struct Samples {
  const Problem& problem;
  const Schedule& cut;
  long long begin;
  int frame_step;

  __device__ Samples(const Problem& problem, const Schedule& cut, const Place& at)
      : problem(problem), cut(cut) {
    const int per_frame = problem.levels * problem.points;
    const long long query = 1ll * at.batch * problem.queries + at.query;
    begin = (query * problem.frames * problem.heads + at.head) * per_frame;
    frame_step = (problem.heads - 1) * per_frame;
  }

  __device__ long long index(int sample) const {
    return begin + sample + divide(sample, cut.per_frame) * frame_step;
  }

  __device__ const Level& level(int sample) const {
    const int frame = divide(sample, cut.per_frame);
    const int in_frame = sample - frame * problem.levels * problem.points;
    return problem.level[divide(in_frame, cut.per_level)];
  }

  template <typename A>
  __device__ Sample<A> locate(const A* locations, int sample) const {
    const A* x = locations + 2 * index(sample);
    const Level& map = level(sample);
    const int frame = divide(sample, cut.per_frame);
    return pavenet::locate(x[0], x[1], map, frame * problem.tokens + map.first);
  }
};

template <typename A>
__device__ A sum_over(A x, int from, int to) {
  for (int distance = from; distance < to; distance *= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, distance);
  }
  return x;
}

// Weights as they are, or the softmax of logits over the samples of a slot.
template <typename A>
struct Weighting {
  A top = 0, scale = 1;
  bool softmax = false;

  __device__ A operator()(A x) const { return softmax ? exp(x - top) * scale : x; }
};

// All threads of a warp must call this.
template <typename A, typename W>
__device__ Weighting<A> weighting(const Samples& samples, const Place& at, const W* weights) {
  const Problem& problem = samples.problem;
  Weighting<A> weighting;
  if (!problem.softmax) return weighting;
  A top = A(-3.402823466e38f);
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const A logit = widen(weights[samples.index(i)]);
    top = logit > top ? logit : top;
  }
  for (int distance = 1; distance < at.threads; distance *= 2) {
    const A other = __shfl_xor_sync(0xffffffffu, top, distance);
    top = other > top ? other : top;
  }
  A sum = 0;
  for (int i = at.rank; i < at.samples; i += at.threads) {
    sum += exp(A(widen(weights[samples.index(i)])) - top);
  }
  weighting.top = top;
  weighting.scale = 1 / sum_over(sum, 1, at.threads);
  weighting.softmax = true;
  return weighting;
}

// The channels that a thread has, of one token.
template <typename B>
__device__ B read(const char* channels, int token, int token_bytes) {
  const long long offset = static_cast<long long>(token) * token_bytes;
  return __ldg(reinterpret_cast<const B*>(channels + offset));
}

// Where the channels of a slot's head begin, in the values and in (B, Q, M, c).
__device__ inline const char* head_of(const Problem& problem, const Place& at, const void* value) {
  return static_cast<const char*>(value) + at.batch * problem.batch_bytes +
         at.head * problem.head_bytes;
}
__device__ inline long long row_of(const Problem& problem, const Place& at) {
  const long long query = 1ll * at.batch * problem.queries + at.query;
  return (query * problem.heads + at.head) * problem.channels;
}

template <typename T, int N>
__device__ void unpack(const Bits<T, N>& bits, Accumulator<T> (&channels)[N]) {
  T narrow[N];
  memcpy(narrow, &bits, sizeof(bits));
  for (int i = 0; i < N; ++i) channels[i] = widen(narrow[i]);
}

template <typename T>
__device__ void write(const Accumulator<T> (&channels)[kVector<T>], T* to) {
  T narrowed[kVector<T>];
  for (int i = 0; i < kVector<T>; ++i) narrow(channels[i], narrowed + i);
  uint4 bits;
  memcpy(&bits, narrowed, sizeof(bits));
  *reinterpret_cast<uint4*>(to) = bits;
}

}  // namespace pavenet
