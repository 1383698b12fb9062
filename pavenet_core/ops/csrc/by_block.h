// The gradients cell by cell: a block lists by cell all corners of its samples, reads a cell's
// values once for all of them, and adds to its gradient once.
#pragma once

#include "adding.h"
#include "kept.h"

namespace pavenet {

// Lists of corners, in shared memory. A bucket may hold several cells.
template <typename A>
struct Lists {
  int* count;       // of buckets in use
  int* first;       // corner, by bucket; -1: none
  A* rows;          // output gradients, by slot
  short* occupied;  // buckets in use
  short* next;      // by corner; -1: none

  __device__ Lists(const Place& at, int row_length, char* shared) {
    count = reinterpret_cast<int*>(shared);
    first = count + 4;
    rows = reinterpret_cast<A*>(first + kBuckets);
    occupied = reinterpret_cast<short*>(rows + at.slots * row_length);
    next = occupied + kBuckets;
  }

  __device__ void clear(int thread, int threads) const {
    for (int i = thread; i < kBuckets; i += threads) first[i] = -1;
    if (thread == 0) *count = 0;
  }

  __device__ void insert(int corner, int token) const {
    if (token < 0) return;
    const int bucket = token & (kBuckets - 1);
    const int old = atomicExch(first + bucket, corner);
    next[corner] = static_cast<short>(old);
    if (old < 0) occupied[atomicAdd(count, 1)] = static_cast<short>(bucket);
  }
};

// Go through all lists for one thread's vector of channels, in step with its warp. `kept` is of the
// first slot; its sums collect the dot products with the four corners.
template <typename T>
__device__ void accumulate_lists(const Problem& problem, const Place& at,
                                 const Lists<Accumulator<T>>& lists,
                                 const Kept<Accumulator<T>>& kept, const T* value,
                                 Accumulator<T>* gradient, int channel) {
  using A = Accumulator<T>;
  const bool mine = channel < problem.channels;
  const int row_length = at.lanes * kVector<T>, count = *lists.count;
  const char* const channels = head_of(problem, at, value) + channel * sizeof(T);
  A* const to = gradient_of<T>(problem, at, gradient) + channel;
  int list = at.slot * at.splits + at.split, ahead = -1, corner = -1, token = -1;
  uint4 bits = make_uint4(0, 0, 0, 0);  // of the cell ahead
  A x[kVector<T>] = {}, sum[kVector<T>] = {};
  const auto token_of = [&](int corner) { return kept.corners[corner >> 2].token[corner & 3]; };
  const auto fetch = [&] {
    ahead = list < count ? lists.first[lists.occupied[list]] : -1;
    list += at.slots * at.splits;
    if (mine && ahead >= 0) bits = read(channels, token_of(ahead), problem.token_bytes);
  };
  const auto add = [&] {
    if (mine && token >= 0) add_to(to + 1ll * token * (problem.heads * problem.channels), sum);
    for (int i = 0; i < kVector<T>; ++i) sum[i] = 0;
  };
  fetch();
  while (true) {
    if (corner < 0 && ahead >= 0) {
      add();
      corner = ahead;
      token = token_of(corner);
      unpack<T>(bits, x);
      fetch();
    }
    if (!__any_sync(0xffffffffu, corner >= 0)) break;
    A dot = 0;
    if (corner >= 0) {
      const int sample = corner >> 2, k = corner & 3;
      if (token_of(corner) != token) {  // another cell in the same bucket
        add();
        token = token_of(corner);
        if (mine) unpack<T>(read(channels, token, problem.token_bytes), x);
      }
      const Quad<A> where = kept.where[sample];
      const A share = where.of[2] * Sample<A>{where.of[0], where.of[1], {}}.share(k);
      const A* const row = lists.rows + static_cast<int>(where.of[3]) * row_length;
      for (int i = 0; i < kVector<T>; ++i) {
        const A y = row[at.lane * kVector<T> + i];
        dot += x[i] * y;
        sum[i] += share * y;
      }
    }
    dot = sum_over(dot, 1, at.lanes);
    if (corner >= 0) {
      if (at.lane == 0) kept.sums[corner >> 2].of[corner & 3] += dot;
      corner = lists.next[corner];
    }
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
  const Kept<A> kept(problem, at, shared);
  const int stride = Kept<A>::slot_stride(problem), before = at.slot * stride;
  const Kept<A> all = kept.of_first_slot(before);
  const int row_length = at.lanes * kVector<T>;
  const Lists<A> lists(at, row_length, reinterpret_cast<char*>(all.sums + at.slots * stride));
  lists.clear(at.slot * at.threads + at.rank, at.slots * at.threads);
  __syncthreads();
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const Sample<A> sample = samples.locate(locations, i);
    kept.corners[i] = sample.corners;
    kept.where[i] = {{sample.x, sample.y, weighting(widen(weights[samples.index(i)])),
                      static_cast<A>(at.slot)}};
    kept.sums[i] = {{0, 0, 0, 0}};
    for (int k = 0; k < 4; ++k) lists.insert(4 * (before + i) + k, sample.corners.token[k]);
  }
  for (int first = 0; first < problem.channels; first += row_length) {
    const int channel = first + at.lane * kVector<T>;
    A row[kVector<T>] = {};
    if (at.active && channel < problem.channels) {
      const T* const begin = upstream + row_of(problem, at) + channel;
      unpack<T>(read(reinterpret_cast<const char*>(begin), 0, 0), row);
    }
    __syncthreads();
    if (at.split == 0) {
      A* const to = lists.rows + at.slot * row_length + at.lane * kVector<T>;
      for (int i = 0; i < kVector<T>; ++i) to[i] = row[i];
    }
    __syncthreads();
    accumulate_lists<T>(problem, at, lists, all, value, gradients.value, channel);
  }
  __syncthreads();
  for (int i = at.rank; i < at.samples; i += at.threads) {
    const Sample<A> sample{kept.where[i].of[0], kept.where[i].of[1], kept.corners[i]};
    kept.sums[i] = derivatives(sample, kept.sums[i].of);
  }
  __syncwarp();
  write_sums(samples, at, kept, gradients.locations, static_cast<W*>(gradients.weights));
}

}  // namespace pavenet
