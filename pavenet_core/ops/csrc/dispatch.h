// From what a tensor holds to the type that a kernel is compiled for.
#pragma once

#include "launch.h"
#include "sampling.h"

namespace pavenet {

template <typename T>
struct Type {
  using type = T;
};

template <typename T, typename Call>
int with_weights(bool wide, const Call& call) {
  return wide ? call(Type<T>{}, Type<Accumulator<T>>{}) : call(Type<T>{}, Type<T>{});
}

// Call with the type of the values and of the weights: as wide as the accumulator, or alike.
template <typename Call>
int dispatch(Scalar scalar, bool wide_weights, const Call& call) {
  switch (scalar) {
    case Scalar::kDouble: return call(Type<double>{}, Type<double>{});
    case Scalar::kFloat: return call(Type<float>{}, Type<float>{});
    case Scalar::kHalf: return with_weights<Half>(wide_weights, call);
    default: return with_weights<Bfloat16>(wide_weights, call);
  }
}

}  // namespace pavenet
