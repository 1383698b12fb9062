// The gradients of the weighted sum.
#pragma once

#include "adding.h"
#include "grouping.h"

namespace pavenet {

// Add a sample's part to the gradient of the values, unless the block does; return the derivatives
// of the dot product of output gradient and sample, over this thread's channels: by weight, and by
// x and y in cells.
template <typename T, Adding kAdding>
__device__ Quad<Accumulator<T>> sample_gradient(const char* channels, Accumulator<T>* gradient,
                                                const Problem& problem, int lanes,
                                                const Sample<Accumulator<T>>& sample,
                                                Accumulator<T> weight,
                                                const Accumulator<T> (&upstream)[kVector<T>]) {
  using A = Accumulator<T>;
  uint4 bits[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int token = sample.corners.token[k];
    bits[k] = make_uint4(0, 0, 0, 0);
    if (token >= 0) bits[k] = read(channels, token, problem.token_bytes);
  }
  A dot[4] = {0, 0, 0, 0};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    A x[kVector<T>];
    unpack<T>(bits[k], x);
    for (int i = 0; i < kVector<T>; ++i) dot[k] += x[i] * upstream[i];
    if constexpr (kAdding != Adding::kByBlock) {
      const A share = weight * sample.share(k);
      for (int i = 0; i < kVector<T>; ++i) x[i] = share * upstream[i];
      int token = sample.corners.token[k];
      if (kAdding == Adding::kByWarp) merge(lanes, token, x);
      if (token >= 0) {
        add_to(gradient + static_cast<long long>(token) * (problem.heads * problem.channels), x);
      }
    }
  }
  Quad<A> sums{{0, 0, 0, 0}};
  for (int k = 0; k < 4; ++k) sums.of[0] += sample.share(k) * dot[k];
  sums.of[1] = (1 - sample.y) * (dot[1] - dot[0]) + sample.y * (dot[3] - dot[2]);
  sums.of[2] = (1 - sample.x) * (dot[2] - dot[0]) + sample.x * (dot[3] - dot[1]);
  return sums;
}

template <typename A>
struct Gradients {
  A* value;  // (B, T, S, M, c), contiguous, zeros at first
  A* locations;
  void* weights;
};

// What a slot keeps in shared memory, by sample.
template <typename A>
struct Kept {
  Corners* corners;
  Quad<A>* where;  // x, y, weight, slot
  Quad<A>* sums;   // what `sample_gradient` returns

  int stride;      // of slots
  char* rest;      // shared memory behind

  __device__ Kept(const Problem& problem, const Place& at, char* shared)
      : stride(problem.samples() | 1) {
    Corners* const first = reinterpret_cast<Corners*>(shared);
    Quad<A>* const quads = reinterpret_cast<Quad<A>*>(first + at.slots * stride);
    corners = first + at.slot * stride;
    where = quads + at.slot * stride;
    sums = quads + (at.slots + at.slot) * stride;
    rest = reinterpret_cast<char*>(quads + 2 * at.slots * stride);
  }
};

// Where the gradient of a head of the values begins, which is (B, T, S, M, c).
template <typename T>
__device__ Accumulator<T>* gradient_of(const Problem& problem, const Place& at,
                                       Accumulator<T>* gradient) {
  const long long tokens = 1ll * at.batch * problem.frames * problem.tokens;
  return gradient + (tokens * problem.heads + at.head) * problem.channels;
}

// Go through all samples for one thread's vector of channels, in step with its warp.
template <typename T, Adding kAdding>
__device__ void accumulate(const Problem& problem, const Place& at, const T* upstream,
                           const T* value, Accumulator<T>* gradient, int channel,
                           const Kept<Accumulator<T>>& kept) {
  using A = Accumulator<T>;
  const bool mine = at.active && channel < problem.channels;
  A from[kVector<T>] = {};
  if (mine) {
    const T* const begin = upstream + row_of(problem, at) + channel;
    unpack<T>(read(reinterpret_cast<const char*>(begin), 0, 0), from);
  }
  const char* const channels = head_of(problem, at, value) + channel * sizeof(T);
  A* const to = gradient_of<T>(problem, at, gradient) + channel;
  for (int first = 0; first < problem.samples(); first += at.splits) {
    const int i = first + at.split;
    Sample<A> sample{0, 0, {{-1, -1, -1, -1}}};
    A weight = 0;
    if (mine && i < at.samples) {
      sample = {kept.where[i].of[0], kept.where[i].of[1], kept.corners[i]};
      weight = kept.where[i].of[2];
    }
    Quad<A> sum =
        sample_gradient<T, kAdding>(channels, to, problem, at.lanes, sample, weight, from);
    for (int k = 0; k < 3; ++k) sum.of[k] = sum_over(sum.of[k], 1, at.lanes);
    if (at.lane == 0 && i < at.samples) {
      for (int k = 0; k < 3; ++k) kept.sums[i].of[k] += sum.of[k];
    }
  }
}

// Write the gradients of locations and weights.
template <typename A, typename W>
__device__ void write_sums(const Samples& samples, const Place& at, const Kept<A>& kept,
                           A* locations, W* weights) {
  const bool softmax = samples.problem.softmax;
  A mean = 0;  // of the derivatives by weight, which the softmax takes off
  for (int i = at.rank; i < at.samples; i += at.threads) {
    mean += kept.where[i].of[2] * kept.sums[i].of[0];
  }
  mean = softmax ? sum_over(mean, 1, at.threads) : A(0);
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const A weight = kept.where[i].of[2], by_weight = kept.sums[i].of[0] - mean;
    const long long index = samples.index(i);
    const Level& map = samples.level(i);
    narrow(softmax ? weight * by_weight : by_weight, weights + index);
    locations[2 * index] = weight * map.width * kept.sums[i].of[1];
    locations[2 * index + 1] = weight * map.height * kept.sums[i].of[2];
  }
}

template <typename T, typename W, Adding kAdding>
__device__ void backward(const Problem& problem, const Schedule& cut, const T* upstream,
                         const T* value, const Accumulator<T>* locations, const W* weights,
                         const Gradients<Accumulator<T>>& gradients, char* shared) {
  using A = Accumulator<T>;
  const Place at = place(problem, cut);
  const Samples samples(problem, cut, at);
  const Weighting<A> weighting = pavenet::weighting<A>(samples, at, weights);
  const Kept<A> kept(problem, at, shared);
  const Groups groups(at, kept.rest);
  if (kAdding == Adding::kByBlock) {
    groups.clear(at);
    __syncthreads();
  }
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const Sample<A> sample = samples.locate(locations, i);
    kept.corners[i] = sample.corners;
    kept.where[i] = {{sample.x, sample.y, weighting(widen(weights[samples.index(i)])),
                      static_cast<A>(at.slot)}};
    kept.sums[i] = {{0, 0, 0, 0}};
    if (kAdding != Adding::kByBlock) continue;
    for (int k = 0; k < 4; ++k) {
      groups.insert(4 * (at.slot * kept.stride + i) + k, sample.corners.token[k]);
    }
  }
  __syncwarp();
  for (int first = 0; first < problem.channels; first += at.lanes * kVector<T>) {
    const int channel = first + at.lane * kVector<T>;
    accumulate<T, kAdding>(problem, at, upstream, value, gradients.value, channel, kept);
  }
  __syncwarp();
  write_sums(samples, at, kept, gradients.locations, static_cast<W*>(gradients.weights));
  if (kAdding == Adding::kByBlock) {
    __syncthreads();
    const int before = at.slot * kept.stride;
    add_groups<T>(problem, at, groups, kept.corners - before, kept.where - before, upstream,
                  gradient_of<T>(problem, at, gradients.value));
  }
}

}  // namespace pavenet
