// What a block's lists take in shared memory. Host and device.
#pragma once

#include "problem.h"

namespace pavenet {

// A corner of a sample.
template <typename A>
struct alignas(16) Corner {
  A share;         // of the output, weight included
  int token, row;  // row: where its query's output gradient begins
  int next;        // -1: none
};

// Threads that go through a list, eight channels each.
PAVENET_HOST_DEVICE inline int list_lanes(const Problem& problem) {
  int lanes = 1;
  while (8 * lanes < problem.channels && lanes < kWarp) lanes *= 2;
  return lanes;
}

// From one query's output gradient to the next, in fours: not a multiple of what a read of shared
// memory takes, lest all rows lie in the same banks.
PAVENET_HOST_DEVICE inline int row_quads(const Problem& problem) {
  return 3 * list_lanes(problem);
}

}  // namespace pavenet
