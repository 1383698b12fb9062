#include "numbers.h"

#include <type_traits>

#include "dispatch.h"
#include "forward.h"

namespace pavenet {
namespace {

template <typename T, typename W, bool kStaged, bool kPacked>
__global__ void __launch_bounds__(512, 2)
    forward_kernel(const __grid_constant__ Problem problem, const __grid_constant__ Schedule cut,
                   const T* value, const Accumulator<T>* locations, const W* weights, T* output) {
  extern __shared__ __align__(16) char shared[];
  forward<T, W, kStaged, kPacked>(problem, cut, value, locations, weights, output, shared);
}

}  // namespace

int launch_forward(const Problem& problem, const Schedule& cut, const Inputs& inputs, void* output,
                   void* stream) {
  return dispatch(inputs.scalar, inputs.wide_weights, [&](auto value, auto weight) {
    using T = typename decltype(value)::type;
    using W = typename decltype(weight)::type;
    constexpr bool kHalf = std::is_same_v<T, Half>;
    auto kernel = forward_kernel<T, W, false, false>;
    if (cut.staged) kernel = forward_kernel<T, W, true, false>;
    if (cut.packed) kernel = forward_kernel<T, W, true, kHalf>;
    kernel<<<cut.blocks, cut.threads, cut.shared_bytes, static_cast<cudaStream_t>(stream)>>>(
        problem, cut, static_cast<const T*>(inputs.value),
        static_cast<const Accumulator<T>*>(inputs.locations),
        static_cast<const W*>(inputs.weights), static_cast<T*>(output));
    return static_cast<int>(cudaGetLastError());
  });
}

}  // namespace pavenet
