// The gradients cell by cell: a block lists by cell all corners of its samples, reads a cell's
// values once for all of them, and adds to its gradient once.
#pragma once

#include "adding.h"
#include "corner.h"
#include "kept.h"

namespace pavenet {

// A thread's vector of the output gradient.
template <typename T>
struct alignas(16) Upstream {
  Accumulator<T> of[kVector<T>];
};

// In shared memory. A bucket may hold several cells.
template <typename T>
struct Lists {
  using A = Accumulator<T>;

  Corner<A>* corners;  // by slot and sample
  Quad<A>* dots;       // dot products of output gradient and the values of a sample's four corners
  Upstream<T>* rows;   // by slot and lane
  int* first;          // corner, by bucket; -1: none
  int* count;          // of buckets in use
  short* occupied;     // buckets in use

  __device__ Lists(int samples, int vectors, char* shared) {
    corners = reinterpret_cast<Corner<A>*>(shared);
    dots = reinterpret_cast<Quad<A>*>(corners + 4 * samples);
    rows = reinterpret_cast<Upstream<T>*>(dots + samples);
    first = reinterpret_cast<int*>(rows + vectors);
    count = first + kBuckets;
    occupied = reinterpret_cast<short*>(count + 4);
  }

  __device__ void clear(int thread, int threads) const {
    for (int i = thread; i < kBuckets; i += threads) first[i] = -1;
    if (thread == 0) *count = 0;
  }

  __device__ void insert(int i, int token, A share, int row) const {
    if (token < 0) return;
    const int bucket = token & (kBuckets - 1);
    const int next = atomicExch(first + bucket, i);
    corners[i] = {share, token, row, next};
    if (next < 0) occupied[atomicAdd(count, 1)] = static_cast<short>(bucket);
  }
};

// Go through all lists for one thread's vector of channels, in step with its warp.
template <typename T>
__device__ void accumulate_lists(const Problem& problem, const Place& at,
                                 const Lists<T>& lists, const T* value,
                                 Accumulator<T>* gradient, int channel) {
  using A = Accumulator<T>;
  const bool mine = channel < problem.channels, again = channel >= at.lanes * kVector<T>;
  const int count = *lists.count, groups = at.slots * at.splits, lanes = at.lanes;
  const char* const channels = head_of(problem, at, value) + channel * sizeof(T);
  A* const to = gradient_of<T>(problem, at, gradient) + channel;
  const Upstream<T>* const rows = lists.rows + at.lane;
  A* const dots = reinterpret_cast<A*>(lists.dots);
  int list = at.slot * at.splits + at.split, ahead = -1, i = -1, token = -1;
  uint4 bits = make_uint4(0, 0, 0, 0);  // of the cell ahead
  A x[kVector<T>] = {}, sum[kVector<T>] = {};
  const auto add = [&] {
    if (mine && token >= 0) add_to(to + 1ll * token * (problem.heads * problem.channels), sum);
    for (int c = 0; c < kVector<T>; ++c) sum[c] = 0;
  };
  const auto fetch = [&] {
    ahead = list < count ? lists.first[lists.occupied[list]] : -1;
    list += groups;
    if (mine && ahead >= 0) bits = read(channels, lists.corners[ahead].token, problem.token_bytes);
  };
  fetch();
  while (true) {
    if (i < 0 && ahead >= 0) {
      add();
      i = ahead;
      token = lists.corners[i].token;
      unpack<T>(bits, x);
      fetch();
    }
    if (!__any_sync(0xffffffffu, i >= 0)) break;
    const Corner<A> corner = i < 0 ? Corner<A>{0, token, 0, -1} : lists.corners[i];
    if (corner.token != token) {  // another cell in the same bucket
      add();
      token = corner.token;
      if (mine) unpack<T>(read(channels, token, problem.token_bytes), x);
    }
    A dot = 0;
    if (i >= 0) {
      const Upstream<T> y = rows[corner.row];
      for (int c = 0; c < kVector<T>; ++c) {
        dot += x[c] * y.of[c];
        sum[c] += corner.share * y.of[c];
      }
    }
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      if (distance < lanes) dot += __shfl_xor_sync(0xffffffffu, dot, distance);
    }
    if (i >= 0 && at.lane == 0) dots[i] = again ? dots[i] + dot : dot;
    i = corner.next;
  }
  add();
}

template <typename T, typename W>
__device__ void backward_by_block(const Problem& problem, const Schedule& cut, const T* upstream,
                                  const T* value, const Accumulator<T>* locations,
                                  const W* weights, const Gradients<Accumulator<T>>& gradients,
                                  char* shared) {
  using A = Accumulator<T>;
  const Place at = place(problem, cut);
  const Samples samples(problem, cut, at);
  const Weighting<A> weighting = pavenet::weighting<A>(samples, at, weights);
  const auto weight_of = [&](int i) { return weighting(widen(weights[samples.index(i)])); };
  const int stride = problem.samples() | 1, before = at.slot * stride;
  const int row = at.slot * at.lanes, row_length = at.lanes * kVector<T>;
  const Lists<T> lists(at.slots * stride, at.slots * at.lanes, shared);
  Quad<A>* const dots = lists.dots + before;

  lists.clear(at.slot * at.threads + at.rank, at.slots * at.threads);
  __syncthreads();
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const Sample<A> sample = samples.locate(locations, i);
    const A weight = weight_of(i);
    dots[i] = {{0, 0, 0, 0}};
    for (int k = 0; k < 4; ++k) {
      lists.insert(4 * (before + i) + k, sample.corners.token[k], weight * sample.share(k), row);
    }
  }
  for (int first = 0; first < problem.channels; first += row_length) {
    const int channel = first + at.lane * kVector<T>;
    Upstream<T> part{};
    if (at.active && channel < problem.channels) {
      const T* const begin = upstream + row_of(problem, at) + channel;
      unpack<T>(read(reinterpret_cast<const char*>(begin), 0, 0), part.of);
    }
    if (first > 0) __syncthreads();
    if (at.split == 0) lists.rows[row + at.lane] = part;
    __syncthreads();
    accumulate_lists<T>(problem, at, lists, value, gradients.value, channel);
  }
  __syncthreads();
  // The corners are done with; the slot's samples take their place.
  Quad<A>* const where = reinterpret_cast<Quad<A>*>(lists.corners + 4 * before);
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const Sample<A> sample = samples.locate(locations, i);
    where[i] = {{sample.x, sample.y, weight_of(i), 0}};
    dots[i] = derivatives(sample, dots[i].of);
  }
  __syncwarp();
  write_sums(samples, at, where, dots, gradients.locations, static_cast<W*>(gradients.weights));
}

}  // namespace pavenet
