// The weighted sum over all samples of a slot.
#pragma once

#include "sampling.h"

namespace pavenet {

template <typename A>
struct Weighted {
  Corners corners;
  Quad<A> shares;
};

// Four tokens to read without asking and their shares; the first is -1 if none is in the map. A
// corner outside repeats one inside with share zero.
template <typename A>
__device__ Weighted<A> weigh(const Sample<A>& sample, A weight) {
  Weighted<A> weighted;
  int inside = -1;
  for (int k = 0; k < 4; ++k) inside = max(inside, sample.corners.token[k]);
  for (int k = 0; k < 4; ++k) {
    const bool is_inside = sample.corners.token[k] >= 0;
    weighted.corners.token[k] = is_inside ? sample.corners.token[k] : inside;
    weighted.shares.of[k] = is_inside ? weight * sample.share(k) : A(0);
  }
  return weighted;
}

template <typename T>
__device__ void add_sample(const char* channels, int token_bytes,
                           const Weighted<Accumulator<T>>& weighted,
                           Accumulator<T> (&sum)[kVector<T>]) {
  if (weighted.corners.token[0] < 0) return;
  uint4 bits[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    bits[k] = read<uint4>(channels, weighted.corners.token[k], token_bytes);
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    Accumulator<T> x[kVector<T>];
    unpack<T>(bits[k], x);
    for (int i = 0; i < kVector<T>; ++i) sum[i] += x[i] * weighted.shares.of[k];
  }
}

// One thread of a slot finds the corners and shares of a sample, in shared memory for all.
template <typename T, typename W>
__device__ void forward(const Problem& problem, const Schedule& cut, const T* value,
                        const Accumulator<T>* locations, const W* weights, T* output,
                        char* shared) {
  using A = Accumulator<T>;
  const Place at = place(problem, cut);
  const Samples samples(problem, cut, at);
  const Weighting<A> weighting = pavenet::weighting<A>(samples, at, weights);
  Weighted<A>* const staged =
      reinterpret_cast<Weighted<A>*>(shared) + at.slot * (problem.samples() | 1);
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const A weight = weighting(widen(weights[samples.index(i)]));
    staged[i] = weigh(samples.locate(locations, i), weight);
  }
  __syncwarp();

  const char* const head = head_of(problem, at, value);
  for (int first = 0; first < problem.channels; first += at.lanes * kVector<T>) {
    const int channel = first + at.lane * kVector<T>;
    const bool mine = at.active && channel < problem.channels;
    const char* const channels = head + channel * sizeof(T);
    A sum[kVector<T>] = {};
    for (int i = at.split; mine && i < at.samples; i += at.splits) {
      add_sample<T>(channels, problem.token_bytes, staged[i], sum);
    }
    for (int i = 0; i < kVector<T>; ++i) sum[i] = sum_over(sum[i], at.lanes, at.threads);
    if (mine && at.split == 0) write(sum, output + row_of(problem, at) + channel);
  }
}

}  // namespace pavenet
