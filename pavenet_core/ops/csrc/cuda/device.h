// What binding.cpp asks of CUDA. ATen's own headers would want cuBLAS, cuSPARSE and cuSOLVER too.
#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#define PAVENET_DISPATCH_KEY CUDA

namespace pavenet {

using DeviceGuard = c10::cuda::CUDAGuard;

inline void check_launch(int code) { C10_CUDA_CHECK(static_cast<cudaError_t>(code)); }
inline void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
inline int multiprocessors() {
  int count = 0;
  check_launch(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount,
                                      c10::cuda::current_device()));
  return count;
}

}  // namespace pavenet
