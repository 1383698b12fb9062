// Adding to the values' gradient in memory.
#pragma once

#include "sampling.h"

namespace pavenet {

// Add N numbers, 16-byte aligned if float.
template <int N>
__device__ void add_to(float* to, const float (&x)[N]) {
  for (int i = 0; i < N; i += 4) add_four(to + i, x + i);
}
template <int N>
__device__ void add_to(double* to, const double (&x)[N]) {
  for (int i = 0; i < N; ++i) atomicAdd(to + i, x[i]);
}

// Sum what several slots of the warp add to one token; all but one of them then add to none (-1).
template <int N, typename A>
__device__ void merge(int lanes, int& token, A (&x)[N]) {
  for (int distance = lanes; distance < kWarp; distance *= 2) {
    const int other = __shfl_xor_sync(0xffffffffu, token, distance);
    const bool same = token >= 0 && token == other;
    if (!__any_sync(0xffffffffu, same)) continue;
    for (int i = 0; i < N; ++i) {
      const A y = __shfl_xor_sync(0xffffffffu, x[i], distance);
      if (same) x[i] += y;
    }
    if (same && (threadIdx.x & distance)) token = -1;
  }
}

}  // namespace pavenet
