// How a call is cut into blocks and threads. Host only.
#pragma once

#include "lists.h"
#include "problem.h"

namespace pavenet {

// The variants compared by benchmarks/on_gpu.py; 0 is what `schedule` thinks best.
struct Plan {
  bool staged;
  Adding adding;
  int threads;
  bool tiled, packed;
  int steps;
};
constexpr Plan kPlans[] = {{true, Adding::kSingly, 256, false, false, 1},
                           {true, Adding::kByWarp, 128, false, false, 1},
                           {false, Adding::kByWarp, 256, false, false, 1},
                           {false, Adding::kSingly, 128, false, false, 1},
                           {true, Adding::kByBlock, 256, true, false, 1},
                           {true, Adding::kByWarp, 512, true, false, 4},
                           {true, Adding::kSingly, 256, true, true, 2}};
constexpr int kNumPlans = sizeof(kPlans) / sizeof(kPlans[0]);

// Bytes of shared memory for one sample: its four tokens and one or two quads of numbers, or its
// corners in lists and a quad.
inline int sample_bytes(const Schedule& cut, int accumulator_bytes, bool backward) {
  const bool wide = accumulator_bytes == sizeof(double);
  if (backward && cut.adding == Adding::kByBlock) {
    return 4 * (wide ? sizeof(Corner<double>) : sizeof(Corner<float>)) + 4 * accumulator_bytes;
  }
  if (backward) return 16 + 8 * accumulator_bytes;
  return cut.staged ? 16 + 4 * accumulator_bytes : 0;
}

inline Schedule schedule(const Problem& problem, int plan, int element_bytes,
                         int accumulator_bytes, int multiprocessors, bool backward) {
  Schedule cut{};
  cut.staged = kPlans[plan].staged;
  cut.packed = kPlans[plan].packed;
  cut.adding = kPlans[plan].adding;
  cut.tiled = kPlans[plan].tiled && problem.queries == problem.tokens;
  cut.threads = kPlans[plan].threads;
  if (backward && cut.threads > 256) cut.threads = 256;
  cut.steps = backward || !cut.tiled ? 1 : kPlans[plan].steps;
  const int samples = problem.samples();
  cut.per_level = reciprocal(problem.points > 0 ? problem.points : 1);
  cut.per_frame = reciprocal(samples > 0 ? problem.levels * problem.points : 1);

  const int vectors = problem.channels * element_bytes / kVectorBytes;
  while ((1 << cut.lane_bits) < vectors && (1 << cut.lane_bits) < kWarp) ++cut.lane_bits;
  cut.slot_bits = cut.lane_bits;
  // Few queries: share a slot's samples among more threads, at least four samples each.
  const long long all = 1ll * problem.batch * problem.queries * problem.heads;
  const long long enough = 1024ll * multiprocessors;
  while ((1 << cut.slot_bits) < kWarp && (all << cut.slot_bits) < enough &&
         (samples >> (cut.slot_bits - cut.lane_bits)) >= 8) {
    ++cut.slot_bits;
  }
  const int bytes = (samples | 1) * sample_bytes(cut, accumulator_bytes, backward);
  const bool lists = backward && cut.adding == Adding::kByBlock;
  const int row = lists ? 4 * accumulator_bytes * row_quads(problem) : 0;
  const auto shared = [&] {
    return (cut.threads >> cut.slot_bits) * (bytes + row) + (lists ? kListBytes : 0);
  };
  const int most = lists ? kMostSharedBytes : kSharedBytes;
  while (shared() > most && cut.threads > kWarp) cut.threads /= 2;
  while (shared() > most && (1 << cut.slot_bits) < kWarp) ++cut.slot_bits;
  cut.shared_bytes = shared();
  const int slots = cut.threads >> cut.slot_bits;
  const auto share_a_line = [&](int heads) {
    return heads <= slots && problem.heads % heads == 0 &&
           heads * problem.channels * element_bytes <= kLineBytes;
  };
  while (cut.tiled && !backward && share_a_line(2 << cut.head_bits)) ++cut.head_bits;
  const long long queries = 1ll * (slots >> cut.head_bits) * cut.steps;
  const long long tiles = (problem.queries + queries - 1) / queries;
  cut.blocks = static_cast<int>(tiles * (problem.heads >> cut.head_bits) * problem.batch);
  return cut;
}

}  // namespace pavenet
