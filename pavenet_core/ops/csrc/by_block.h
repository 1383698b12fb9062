// The gradients cell by cell: a block lists by cell all corners of its samples, reads a cell's
// values once for all of them, and adds to its gradient once.
#pragma once

#include "adding.h"
#include "lists.h"
#include "kept.h"

namespace pavenet {

constexpr int kEight = 8;  // channels of a thread, which their number is a multiple of

template <typename T>
__device__ void read_eight(const char* channels, int token, int token_bytes,
                           uint4 (&bits)[kEight / kVector<T>]) {
#pragma unroll
  for (int j = 0; j < kEight / kVector<T>; ++j) {
    bits[j] = read(channels + j * kVectorBytes, token, token_bytes);
  }
}
template <typename T>
__device__ void unpack_eight(const uint4 (&bits)[kEight / kVector<T>],
                             Accumulator<T> (&x)[kEight]) {
#pragma unroll
  for (int j = 0; j < kEight / kVector<T>; ++j) {
    Accumulator<T> part[kVector<T>];
    unpack<T>(bits[j], part);
    for (int c = 0; c < kVector<T>; ++c) x[j * kVector<T> + c] = part[c];
  }
}

// In shared memory. A bucket may hold several cells.
template <typename A>
struct Lists {
  Corner<A>* corners;  // by slot and sample
  Quad<A>* dots;       // dot products of output gradient and the values of a sample's four corners
  Quad<A>* rows;       // output gradients, by slot, half of eight channels, and lane
  int* first;          // corner, by bucket; -1: none
  int* count;          // of buckets in use
  short* occupied;     // buckets in use

  __device__ Lists(int samples, int quads, char* shared) {
    corners = reinterpret_cast<Corner<A>*>(shared);
    dots = reinterpret_cast<Quad<A>*>(corners + 4 * samples);
    rows = dots + samples;
    first = reinterpret_cast<int*>(rows + quads);
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

// How the threads of a block share its lists: `lanes` of them go through a list, eight channels
// each.
struct Walk {
  int lanes, lane, group, groups, row_length;

  __device__ Walk(const Problem& problem, const Place& at) {
    const int thread = at.slot * at.threads + at.rank;
    lanes = list_lanes(problem);
    lane = thread & (lanes - 1);
    group = thread / lanes;
    groups = at.slots * at.threads / lanes;
    row_length = row_quads(problem);
  }
};

// Go through all lists for a thread's eight channels, in step with its warp.
template <typename T>
__device__ void accumulate_lists(const Problem& problem, const Place& at, const Walk& walk,
                                 const Lists<Accumulator<T>>& lists, const T* value,
                                 Accumulator<T>* gradient, int channel) {
  using A = Accumulator<T>;
  const bool mine = channel < problem.channels, again = channel >= walk.lanes * kEight;
  const int count = *lists.count, token_length = problem.heads * problem.channels;
  const char* const channels = head_of(problem, at, value) + channel * sizeof(T);
  A* const to = gradient_of<T>(problem, at, gradient) + channel;
  const Quad<A>* const rows = lists.rows + walk.lane;
  A* const dots = reinterpret_cast<A*>(lists.dots);
  int list = walk.group, ahead = -1, i = -1, token = -1;
  uint4 bits[kEight / kVector<T>] = {};  // of the cell ahead
  A x[kEight] = {}, sum[kEight] = {};
  const auto add = [&] {
    if (mine && token >= 0) add_to(to + 1ll * token * token_length, sum);
    for (int c = 0; c < kEight; ++c) sum[c] = 0;
  };
  const auto fetch = [&] {
    ahead = list < count ? lists.first[lists.occupied[list]] : -1;
    list += walk.groups;
    if (mine && ahead >= 0) {
      read_eight<T>(channels, lists.corners[ahead].token, problem.token_bytes, bits);
    }
  };
  fetch();
  while (true) {
    if (i < 0 && ahead >= 0) {
      add();
      i = ahead;
      token = lists.corners[i].token;
      unpack_eight<T>(bits, x);
      fetch();
    }
    if (!__any_sync(0xffffffffu, i >= 0)) break;
    A dot = 0;
    int next = -1;
    if (i >= 0) {
      const Corner<A> corner = lists.corners[i];
      if (corner.token != token) {  // another cell in the same bucket
        add();
        token = corner.token;
        uint4 now[kEight / kVector<T>] = {};
        if (mine) read_eight<T>(channels, token, problem.token_bytes, now);
        unpack_eight<T>(now, x);
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const Quad<A> y = rows[corner.row + j * walk.lanes];
        for (int c = 0; c < 4; ++c) {
          dot += x[4 * j + c] * y.of[c];
          sum[4 * j + c] += corner.share * y.of[c];
        }
      }
      next = corner.next;
    }
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      if (distance < walk.lanes) dot += __shfl_xor_sync(0xffffffffu, dot, distance);
    }
    if (i >= 0 && walk.lane == 0) dots[i] = again ? dots[i] + dot : dot;
    i = next;
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
  const Walk walk(problem, at);
  const int row = at.slot * walk.row_length;
  const Lists<A> lists(at.slots * stride, at.slots * walk.row_length, shared);
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
  for (int first = 0; first < problem.channels; first += walk.lanes * kEight) {
    if (first > 0) __syncthreads();
    for (int lane = at.rank; lane < walk.lanes; lane += at.threads) {
      const int channel = first + lane * kEight;
      uint4 bits[kEight / kVector<T>] = {};
      if (at.active && channel < problem.channels) {
        const T* const begin = upstream + row_of(problem, at) + channel;
        read_eight<T>(reinterpret_cast<const char*>(begin), 0, 0, bits);
      }
      A y[kEight];
      unpack_eight<T>(bits, y);
      lists.rows[row + lane] = {{y[0], y[1], y[2], y[3]}};
      lists.rows[row + walk.lanes + lane] = {{y[4], y[5], y[6], y[7]}};
    }
    __syncthreads();
    accumulate_lists<T>(problem, at, walk, lists, value, gradients.value,
                        first + walk.lane * kEight);
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
