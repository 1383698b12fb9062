// The values' gradient of a block, summed by cell before it is added to memory.
#pragma once

#include "sampling.h"

namespace pavenet {

// Lists of corners by cell. A bucket may hold several cells; a list names corners by number.
struct Groups {
  int* count;       // of buckets in use
  int* first;       // by bucket; -1: none
  int* query;       // by slot
  short* occupied;  // buckets in use
  short* next;      // by corner

  __device__ Groups(const Place& at, char* shared) {
    count = reinterpret_cast<int*>(shared);
    first = count + 4;
    query = first + kBuckets;
    occupied = reinterpret_cast<short*>(query + at.slots);
    next = occupied + kBuckets;
  }

  __device__ void clear(const Place& at) const {
    const int threads = at.slots * at.threads, thread = at.slot * at.threads + at.rank;
    for (int i = thread; i < kBuckets; i += threads) first[i] = -1;
    if (thread == 0) *count = 0;
    if (at.rank == 0) query[at.slot] = at.query;
  }

  __device__ void insert(int corner, int token) const {
    if (token < 0) return;
    const int bucket = token & (kBuckets - 1);
    const int old = atomicExch(first + bucket, corner);
    next[corner] = static_cast<short>(old);
    if (old < 0) occupied[atomicAdd(count, 1)] = static_cast<short>(bucket);
  }
};

// Sum and add the corners of all slots, this thread its vector of channels. `where` has x, y,
// weight and slot of a sample.
template <typename T>
__device__ void add_groups(const Problem& problem, const Place& at, const Groups& groups,
                           const Corners* corners, const Quad<Accumulator<T>>* where,
                           const T* upstream, Accumulator<T>* gradient) {
  using A = Accumulator<T>;
  const int step = at.slots * at.splits, channel_step = at.lanes * kVector<T>;
  for (int channel = at.lane * kVector<T>; channel < problem.channels; channel += channel_step) {
    int i = at.slot * at.splits + at.split, corner = -1, token = -1;
    A sum[kVector<T>] = {};
    while (true) {
      const int found = corner < 0 ? -1 : corners[corner >> 2].token[corner & 3];
      if (found != token) {
        if (token >= 0) {
          add_to(gradient + 1ll * token * (problem.heads * problem.channels) + channel, sum);
        }
        for (int k = 0; k < kVector<T>; ++k) sum[k] = 0;
        token = found;
      }
      if (corner < 0) {
        if (i >= *groups.count) break;
        corner = groups.first[groups.occupied[i]];
        i += step;
        continue;
      }
      const Quad<A> sample = where[corner >> 2];
      const A share = sample.of[2] * Sample<A>{sample.of[0], sample.of[1], {}}.share(corner & 3);
      Place from = at;
      from.query = groups.query[static_cast<int>(sample.of[3])];
      const T* const begin = upstream + row_of(problem, from) + channel;
      A x[kVector<T>];
      unpack<T>(read(reinterpret_cast<const char*>(begin), 0, 0), x);
      for (int k = 0; k < kVector<T>; ++k) sum[k] += share * x[k];
      corner = groups.next[corner];
    }
  }
}

}  // namespace pavenet
