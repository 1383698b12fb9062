// What backward keeps of its samples, and the gradients of locations and weights.
#pragma once

#include "sampling.h"

namespace pavenet {

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
  Quad<A>* where;  // x, y, weight
  Quad<A>* sums;   // `derivatives` of the dot products

  __device__ Kept(const Problem& problem, const Place& at, char* shared) {
    const int stride = problem.samples() | 1;
    Corners* const first = reinterpret_cast<Corners*>(shared);
    Quad<A>* const quads = reinterpret_cast<Quad<A>*>(first + at.slots * stride);
    corners = first + at.slot * stride;
    where = quads + at.slot * stride;
    sums = quads + (at.slots + at.slot) * stride;
  }
};

// The derivatives of the dot product of output gradient and sample, by weight, and by x and y in
// cells, from the dot products with the values of the four corners.
template <typename A>
__device__ Quad<A> derivatives(const Sample<A>& sample, const A (&dot)[4]) {
  Quad<A> sums{{0, 0, 0, 0}};
  for (int k = 0; k < 4; ++k) sums.of[0] += sample.share(k) * dot[k];
  sums.of[1] = (1 - sample.y) * (dot[1] - dot[0]) + sample.y * (dot[3] - dot[2]);
  sums.of[2] = (1 - sample.x) * (dot[2] - dot[0]) + sample.x * (dot[3] - dot[1]);
  return sums;
}

// Where the gradient of a head of the values begins, which is (B, T, S, M, c).
template <typename T>
__device__ Accumulator<T>* gradient_of(const Problem& problem, const Place& at,
                                       Accumulator<T>* gradient) {
  const long long tokens = 1ll * at.batch * problem.frames * problem.tokens;
  return gradient + (tokens * problem.heads + at.head) * problem.channels;
}

// Write the gradients of locations and weights: `where` has x, y and weight of a slot's samples,
// `sums` their `derivatives`.
template <typename A, typename W>
__device__ void write_sums(const Samples& samples, const Place& at, const Quad<A>* where,
                           const Quad<A>* sums, A* locations, W* weights) {
  const bool softmax = samples.problem.softmax;
  A mean = 0;  // of the derivatives by weight, which the softmax takes off
  for (int i = at.rank; i < at.samples; i += at.threads) mean += where[i].of[2] * sums[i].of[0];
  mean = softmax ? sum_over(mean, 1, at.threads) : A(0);
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const A weight = where[i].of[2], by_weight = sums[i].of[0] - mean;
    const long long index = samples.index(i);
    const Level& map = samples.level(i);
    narrow(softmax ? weight * by_weight : by_weight, weights + index);
    locations[2 * index] = weight * map.width * sums[i].of[1];
    locations[2 * index + 1] = weight * map.height * sums[i].of[2];
  }
}

}  // namespace pavenet
