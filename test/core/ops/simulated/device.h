// What binding.cpp asks of a device, for a GPU simulated on the CPU.
#pragma once

#define PAVENET_DISPATCH_KEY CPU

namespace pavenet {

struct DeviceGuard {
  explicit DeviceGuard(const c10::Device&) {}
};
inline int multiprocessors() { return 1; }
inline void* current_stream() { return nullptr; }
inline void check_launch(int) {}

}  // namespace pavenet
