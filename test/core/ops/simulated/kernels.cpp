// The kernels of pavenet_core/ops/csrc, compiled for the simulated GPU.
#include "cuda.h"

#include "backward.h"
#include "dispatch.h"
#include "forward.h"

namespace pavenet {
namespace {

template <typename T>
simulated::Range values_of(const Problem& problem, const void* value) {
  const char* const begin = static_cast<const char*>(value);
  const long long tokens = 1ll * problem.frames * problem.tokens;
  return {begin, begin + (problem.batch - 1) * problem.batch_bytes +
                     (tokens - 1) * problem.token_bytes +
                     (problem.heads - 1) * problem.head_bytes + problem.channels * sizeof(T)};
}

template <typename T>
simulated::Range output_of(const Problem& problem, const void* output) {
  const char* const begin = static_cast<const char*>(output);
  return {begin, begin + sizeof(T) * problem.batch * problem.queries * problem.heads *
                             problem.channels};
}

}  // namespace

int launch_forward(const Problem& problem, const Schedule& cut, const Inputs& inputs, void* output,
                   void*) {
  return dispatch(inputs.scalar, inputs.wide_weights, [&](auto value, auto weight) {
    using T = typename decltype(value)::type;
    using W = typename decltype(weight)::type;
    simulated::readable = {values_of<T>(problem, inputs.value)};
    simulated::launch(cut.blocks, cut.threads, cut.shared_bytes, [&](char* shared) {
      forward<T, W>(problem, cut, static_cast<const T*>(inputs.value),
                    static_cast<const Accumulator<T>*>(inputs.locations),
                    static_cast<const W*>(inputs.weights), static_cast<T*>(output), shared);
    });
    return 0;
  });
}

int launch_backward(const Problem& problem, const Schedule& cut, const Inputs& inputs,
                    const void* upstream, void* value_gradient, void* location_gradient,
                    void* weight_gradient, void*) {
  return dispatch(inputs.scalar, inputs.wide_weights, [&](auto value, auto weight) {
    using T = typename decltype(value)::type;
    using W = typename decltype(weight)::type;
    using A = Accumulator<T>;
    simulated::readable = {values_of<T>(problem, inputs.value), output_of<T>(problem, upstream)};
    const Gradients<A> gradients{static_cast<A*>(value_gradient),
                                 static_cast<A*>(location_gradient), weight_gradient};
    simulated::launch(cut.blocks, cut.threads, cut.shared_bytes, [&](char* shared) {
      backward<T, W>(problem, cut, static_cast<const T*>(upstream),
                     static_cast<const T*>(inputs.value), static_cast<const A*>(inputs.locations),
                     static_cast<const W*>(inputs.weights), gradients, shared);
    });
    return 0;
  });
}

}  // namespace pavenet
