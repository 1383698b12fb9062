// A corner of a sample in a list of a block's. Host and device: the schedule asks for its size.
#pragma once

namespace pavenet {

template <typename A>
struct alignas(16) Corner {
  A share;         // of the output, weight included
  int token, row;  // row: where its query's output gradient begins
  int next;        // -1: none
};

}  // namespace pavenet
