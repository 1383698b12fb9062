#include "numbers.h"

#include "backward.h"
#include "dispatch.h"

namespace pavenet {
namespace {

template <typename T, typename W>
__global__ void __launch_bounds__(kThreads, 6)
    backward_kernel(const __grid_constant__ Problem problem, const __grid_constant__ Schedule cut,
                    const T* upstream, const T* value, const Accumulator<T>* locations,
                    const W* weights, Gradients<Accumulator<T>> gradients) {
  extern __shared__ __align__(16) char shared[];
  backward<T, W>(problem, cut, upstream, value, locations, weights, gradients, shared);
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
    const auto on = static_cast<cudaStream_t>(stream);
    backward_kernel<T, W><<<cut.blocks, cut.threads, cut.shared_bytes, on>>>(
        problem, cut, static_cast<const T*>(upstream), static_cast<const T*>(inputs.value),
        static_cast<const A*>(inputs.locations), static_cast<const W*>(inputs.weights),
        gradients);
    return static_cast<int>(cudaGetLastError());
  });
}

}  // namespace pavenet
