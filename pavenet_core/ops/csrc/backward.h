// The gradients of the weighted sum.
#pragma once

#include "adding.h"
#include "kept.h"

namespace pavenet {

// Add a sample's part to the gradient of the values; return the derivatives of the dot product of
// output gradient and sample, over this thread's N channels: by weight, and by x and y in cells.
template <typename T, int N>
__device__ Quad<Accumulator<T>> sample_gradient(const char* channels, Accumulator<T>* gradient,
                                                const Problem& problem, int lanes,
                                                const Sample<Accumulator<T>>& sample,
                                                Accumulator<T> weight,
                                                const Accumulator<T> (&upstream)[N]) {
  using A = Accumulator<T>;
  Bits<T, N> bits[4] = {};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int token = sample.corners.token[k];
    if (token >= 0) bits[k] = read<Bits<T, N>>(channels, token, problem.token_bytes);
  }
  A dot[4] = {0, 0, 0, 0};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    A x[N];
    unpack<T>(bits[k], x);
    for (int i = 0; i < N; ++i) dot[k] += x[i] * upstream[i];
    const A share = weight * sample.share(k);
    for (int i = 0; i < N; ++i) x[i] = share * upstream[i];
    int token = sample.corners.token[k];
    merge(lanes, token, x);
    if (token >= 0) {
      add_to(gradient + static_cast<long long>(token) * (problem.heads * problem.channels), x);
    }
  }
  return derivatives(sample, dot);
}

// Go through all samples for one thread's vector of channels, in step with its warp.
template <typename T>
__device__ void accumulate(const Problem& problem, const Place& at, const T* upstream,
                           const T* value, Accumulator<T>* gradient, int channel,
                           const Kept<Accumulator<T>>& kept) {
  using A = Accumulator<T>;
  const bool mine = at.active && channel < problem.channels;
  A from[kGradientVector<T>] = {};
  if (mine) {
    const T* const begin = upstream + row_of(problem, at) + channel;
    using Own = Bits<T, kGradientVector<T>>;
    unpack<T>(read<Own>(reinterpret_cast<const char*>(begin), 0, 0), from);
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
    Quad<A> sum = sample_gradient<T>(channels, to, problem, at.lanes, sample, weight, from);
    for (int k = 0; k < 3; ++k) sum.of[k] = sum_over(sum.of[k], 1, at.lanes);
    if (at.lane == 0 && i < at.samples) {
      for (int k = 0; k < 3; ++k) kept.sums[i].of[k] += sum.of[k];
    }
  }
}

template <typename T, typename W>
__device__ void backward(const Problem& problem, const Schedule& cut, const T* upstream,
                         const T* value, const Accumulator<T>* locations, const W* weights,
                         const Gradients<Accumulator<T>>& gradients, char* shared) {
  using A = Accumulator<T>;
  const Place at = place(problem, cut);
  const Samples samples(problem, cut, at);
  const Weighting<A> weighting = pavenet::weighting<A>(samples, at, weights);
  const Kept<A> kept(problem, at, shared);
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const Sample<A> sample = samples.locate(locations, i);
    kept.corners[i] = sample.corners;
    kept.where[i] = {{sample.x, sample.y, weighting(widen(weights[samples.index(i)])), 0}};
    kept.sums[i] = {{0, 0, 0, 0}};
  }
  __syncwarp();
  for (int first = 0; first < problem.channels; first += at.lanes * kGradientVector<T>) {
    const int channel = first + at.lane * kGradientVector<T>;
    accumulate<T>(problem, at, upstream, value, gradients.value, channel, kept);
  }
  __syncwarp();
  write_sums(samples, at, kept.where, kept.sums, gradients.locations,
             static_cast<W*>(gradients.weights));
}

}  // namespace pavenet
