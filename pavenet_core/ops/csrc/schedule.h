// How a call is cut into blocks and threads. Host only.
#pragma once

#include "problem.h"

namespace pavenet {

// Bytes of shared memory for one sample: its four tokens and one or two quads of numbers.
inline int sample_bytes(int accumulator_bytes, bool backward) {
  return 16 + (backward ? 8 : 4) * accumulator_bytes;
}

inline Schedule schedule(const Problem& problem, int element_bytes, int accumulator_bytes,
                         int multiprocessors, bool backward) {
  Schedule cut{};
  cut.threads = kThreads;
  const int samples = problem.samples();
  cut.per_level = reciprocal(problem.points > 0 ? problem.points : 1);
  cut.per_frame = reciprocal(samples > 0 ? problem.levels * problem.points : 1);

  const int vector = kVectorBytes / (backward ? accumulator_bytes : element_bytes);
  const int vectors = problem.channels / vector;
  while ((1 << cut.lane_bits) < vectors && (1 << cut.lane_bits) < kWarp) ++cut.lane_bits;
  cut.slot_bits = cut.lane_bits;
  // Few queries: share a slot's samples among more threads, at least four samples each.
  const long long all = 1ll * problem.batch * problem.queries * problem.heads;
  const long long enough = 1024ll * multiprocessors;
  while ((1 << cut.slot_bits) < kWarp && (all << cut.slot_bits) < enough &&
         (samples >> (cut.slot_bits - cut.lane_bits)) >= 8) {
    ++cut.slot_bits;
  }
  const int bytes = (samples | 1) * sample_bytes(accumulator_bytes, backward);
  const auto shared = [&] { return (cut.threads >> cut.slot_bits) * bytes; };
  while (shared() > kSharedBytes && cut.threads > kWarp) cut.threads /= 2;
  while (shared() > kSharedBytes && (1 << cut.slot_bits) < kWarp) ++cut.slot_bits;
  cut.shared_bytes = shared();
  const int slots = cut.threads >> cut.slot_bits;
  const long long tiles = (problem.queries + slots - 1) / slots;
  cut.blocks = static_cast<int>(tiles * problem.heads * problem.batch);
  return cut;
}

}  // namespace pavenet
