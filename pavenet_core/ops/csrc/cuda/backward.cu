#include "numbers.h"

#include "backward.h"
#include "by_block.h"
#include "dispatch.h"

namespace pavenet {
namespace {

template <typename T, typename W, Adding kAdding>
__global__ void __launch_bounds__(256, 3)
    backward_kernel(const __grid_constant__ Problem problem, const __grid_constant__ Schedule cut,
                    const T* upstream, const T* value, const Accumulator<T>* locations,
                    const W* weights, Gradients<Accumulator<T>> gradients) {
  extern __shared__ __align__(16) char shared[];
  if constexpr (kAdding == Adding::kByBlock) {
    backward_by_block<T, W>(problem, cut, upstream, value, locations, weights, gradients, shared);
  } else {
    constexpr bool kMerged = kAdding == Adding::kByWarp;
    backward<T, W, kMerged>(problem, cut, upstream, value, locations, weights, gradients, shared);
  }
}

}  // namespace

int launch_backward(const Problem& problem, const Schedule& cut, const Inputs& inputs,
                    const void* upstream, void* value_gradient, void* location_gradient,
                    void* weight_gradient, void* stream) {
  return dispatch(inputs.scalar, inputs.wide_weights, [&](auto value, auto weight) {
    using T = typename decltype(value)::type;
    using W = typename decltype(weight)::type;
    using A = Accumulator<T>;
    const Gradients<A> gradients{static_cast<A*>(value_gradient),
                                 static_cast<A*>(location_gradient), weight_gradient};
    auto kernel = backward_kernel<T, W, Adding::kSingly>;
    if (cut.adding == Adding::kByWarp) kernel = backward_kernel<T, W, Adding::kByWarp>;
    if (cut.adding == Adding::kByBlock) kernel = backward_kernel<T, W, Adding::kByBlock>;
    if (cut.shared_bytes > kSharedBytes) {
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kMostSharedBytes);
    }
    kernel<<<cut.blocks, cut.threads, cut.shared_bytes, static_cast<cudaStream_t>(stream)>>>(
        problem, cut, static_cast<const T*>(upstream), static_cast<const T*>(inputs.value),
        static_cast<const A*>(inputs.locations), static_cast<const W*>(inputs.weights),
        gradients);
    return static_cast<int>(cudaGetLastError());
  });
}

}  // namespace pavenet
