// What binding.cpp calls; forward.cu and backward.cu make it.
#pragma once

#include "problem.h"

namespace pavenet {

enum class Scalar { kDouble, kFloat, kHalf, kBfloat16 };

struct Inputs {
  Scalar scalar;      // of the values and of what comes out
  bool wide_weights;  // float weights beside half or bfloat16 values
  const void *value, *locations, *weights;
};

// Return a CUDA error code, 0 for none.
int launch_forward(const Problem& problem, const Schedule& cut, const Inputs& inputs, void* output,
                   void* stream);
int launch_backward(const Problem& problem, const Schedule& cut, const Inputs& inputs,
                    const void* upstream, void* value_gradient, void* location_gradient,
                    void* weight_gradient, void* stream);

}  // namespace pavenet
