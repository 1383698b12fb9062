#include "numbers.h"

#include "dispatch.h"
#include "forward.h"

namespace pavenet {
namespace {

template <typename T, typename W>
__global__ void __launch_bounds__(kThreads, 8)
    forward_kernel(const __grid_constant__ Problem problem, const __grid_constant__ Schedule cut,
                   const T* value, const Accumulator<T>* locations, const W* weights, T* output) {
  extern __shared__ __align__(16) char shared[];
  forward<T, W>(problem, cut, value, locations, weights, output, shared);
}

}  // namespace

int launch_forward(const Problem& problem, const Schedule& cut, const Inputs& inputs, void* output,
                   void* stream) {
  return dispatch(inputs.scalar, inputs.wide_weights, [&](auto value, auto weight) {
    using T = typename decltype(value)::type;
    using W = typename decltype(weight)::type;
    const auto on = static_cast<cudaStream_t>(stream);
    forward_kernel<T, W><<<cut.blocks, cut.threads, cut.shared_bytes, on>>>(
        problem, cut, static_cast<const T*>(inputs.value),
        static_cast<const Accumulator<T>*>(inputs.locations),
        static_cast<const W*>(inputs.weights), static_cast<T*>(output));
    return static_cast<int>(cudaGetLastError());
  });
}

}  // namespace pavenet
