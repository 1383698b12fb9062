// How a call is cut into blocks and threads. Host only.
#pragma once

#include "problem.h"

namespace pavenet {

// The variants compared by benchmarks/on_gpu.py; 0 is what `schedule` thinks best.
struct Plan {
  bool staged, merged;
  int threads;
};
constexpr Plan kPlans[] = {{true, false, 256},
                           {true, true, 128},
                           {false, true, 256},
                           {false, false, 128}};
constexpr int kNumPlans = sizeof(kPlans) / sizeof(kPlans[0]);

// Bytes of shared memory for one sample: its four tokens and one or two quads of numbers.
inline int sample_bytes(const Schedule& cut, int accumulator_bytes, bool backward) {
  if (backward) return 16 + 8 * accumulator_bytes;
  return cut.staged ? 16 + 4 * accumulator_bytes : 0;
}

inline Schedule schedule(const Problem& problem, int plan, int element_bytes,
                         int accumulator_bytes, int multiprocessors, bool backward) {
  Schedule cut{};
  cut.staged = kPlans[plan].staged;
  cut.merged = kPlans[plan].merged;
  cut.threads = kPlans[plan].threads;
  const int samples = problem.samples();
  cut.per_level = reciprocal(problem.points > 0 ? problem.points : 1);
  cut.per_frame = reciprocal(samples > 0 ? problem.levels * problem.points : 1);

  const int vectors = problem.channels * element_bytes / kVectorBytes;
  while ((1 << cut.lane_bits) < vectors && (1 << cut.lane_bits) < kWarp) ++cut.lane_bits;
  cut.slot_bits = cut.lane_bits;
  // Few queries: share a slot's samples among more threads, at least four samples each.
  const long long slots = 1ll * problem.batch * problem.queries * problem.heads;
  const long long enough = 1024ll * multiprocessors;
  while ((1 << cut.slot_bits) < kWarp && (slots << cut.slot_bits) < enough &&
         (samples >> (cut.slot_bits - cut.lane_bits)) >= 8) {
    ++cut.slot_bits;
  }
  const int bytes = (samples | 1) * sample_bytes(cut, accumulator_bytes, backward);
  const auto shared = [&] { return (cut.threads >> cut.slot_bits) * bytes; };
  while (shared() > kSharedBytes && cut.threads > kWarp) cut.threads /= 2;
  while (shared() > kSharedBytes && (1 << cut.slot_bits) < kWarp) ++cut.slot_bits;
  cut.shared_bytes = shared();
  const int block_slots = cut.threads >> cut.slot_bits;
  const long long tiles = (problem.queries + block_slots - 1) / block_slots;
  cut.blocks = static_cast<int>(tiles * problem.heads * problem.batch);
  return cut;
}

}  // namespace pavenet
