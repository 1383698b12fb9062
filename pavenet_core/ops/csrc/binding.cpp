// Checks, allocation, and the operator's registration for one kind of device.
#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <climits>
#include <tuple>

#include <device.h>  // of cuda/, or a test's

#include "launch.h"
#include "schedule.h"

namespace pavenet {
namespace {

using at::Tensor;

Scalar scalar_of(const Tensor& value) {
  switch (value.scalar_type()) {
    case at::kDouble: return Scalar::kDouble;
    case at::kFloat: return Scalar::kFloat;
    case at::kHalf: return Scalar::kHalf;
    case at::kBFloat16: return Scalar::kBfloat16;
    default: TORCH_CHECK(false, "value must be floating point, got ", value.scalar_type());
  }
}

at::ScalarType accumulator_of(const Tensor& value) {
  return value.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// The kernel reads 16 bytes at a time, and frame and token as one axis; a window of (B*T, S, C)
// is so already.
bool readable(const Tensor& value) {
  const auto bytes = [&](int axis) { return value.stride(axis) * value.element_size(); };
  bool aligned = reinterpret_cast<uintptr_t>(value.const_data_ptr()) % kVectorBytes == 0;
  for (const int axis : {0, 1, 2, 3}) aligned = aligned && bytes(axis) % kVectorBytes == 0;
  const bool frames_follow =
      value.size(1) == 1 || value.stride(1) == value.size(2) * value.stride(2);
  const bool small = bytes(2) <= INT_MAX && bytes(3) <= INT_MAX && bytes(2) >= 0;
  return aligned && frames_follow && small && (value.stride(4) == 1 || value.size(4) == 1);
}

void check(const Tensor& value, at::IntArrayRef shapes, const Tensor& locations,
           const Tensor& weights) {
  TORCH_CHECK(value.dim() == 5, "value must be (B, T, S, M, c), got ", value.sizes());
  TORCH_CHECK(locations.dim() == 7 && locations.size(6) == 2,
              "locations must be (B, Q, T, M, L, P, 2), got ", locations.sizes());
  TORCH_CHECK(weights.sizes() == locations.sizes().slice(0, 6),
              "weights must be (B, Q, T, M, L, P) as the locations, got ", weights.sizes());
  const int64_t levels = locations.size(4);
  TORCH_CHECK(static_cast<int64_t>(shapes.size()) == 2 * levels && levels <= kMaxLevels,
              "expected height and width of each of ", levels, " levels, at most ", kMaxLevels,
              ", got ", shapes);
  TORCH_CHECK(value.size(0) == locations.size(0) && value.size(1) == locations.size(2) &&
                  value.size(3) == locations.size(3),
              "value ", value.sizes(), " and locations ", locations.sizes(),
              " differ in batch, frames or heads");
  TORCH_CHECK(value.size(4) % 8 == 0, "a head must have a multiple of 8 channels, got ",
              value.size(4));
  TORCH_CHECK(locations.scalar_type() == accumulator_of(value), "locations must be ",
              accumulator_of(value), ", got ", locations.scalar_type());
  TORCH_CHECK(weights.scalar_type() == value.scalar_type() ||
                  weights.scalar_type() == accumulator_of(value),
              "weights must be ", value.scalar_type(), " or ", accumulator_of(value), ", got ",
              weights.scalar_type());
  TORCH_CHECK(locations.device() == value.device() && weights.device() == value.device(),
              "value, locations and weights must be on one device");
  TORCH_CHECK(value.size(1) * levels * locations.size(5) <= kMaxSamples, "at most ", kMaxSamples,
              " samples (frames * levels * points) of a head of a query, got ",
              value.size(1) * levels * locations.size(5));
}

Problem problem_of(const Tensor& value, at::IntArrayRef shapes, const Tensor& locations,
                   bool softmax) {
  Problem problem{};
  const auto number = [](const Tensor& x, int axis) { return static_cast<int>(x.size(axis)); };
  problem.batch = number(locations, 0);
  problem.queries = number(locations, 1);
  problem.frames = number(locations, 2);
  problem.heads = number(locations, 3);
  problem.levels = number(locations, 4);
  problem.points = number(locations, 5);
  problem.tokens = number(value, 2);
  problem.channels = number(value, 4);
  const int64_t size = value.element_size();
  problem.batch_bytes = value.stride(0) * size;
  problem.token_bytes = static_cast<int>(value.stride(2) * size);
  problem.head_bytes = static_cast<int>(value.stride(3) * size);
  problem.softmax = softmax;
  int64_t first = 0;
  for (int i = 0; i < problem.levels; ++i) {
    const int64_t height = shapes[2 * i], width = shapes[2 * i + 1];
    TORCH_CHECK(height >= 0 && width >= 0, "levels must have a size, got ", shapes);
    problem.level[i] = {static_cast<int>(height), static_cast<int>(width),
                        static_cast<int>(first)};
    first += height * width;
  }
  TORCH_CHECK(first == problem.tokens, "levels ", shapes, " have ", first,
              " tokens, the values ", problem.tokens);
  TORCH_CHECK(first * problem.frames <= INT_MAX, "too many tokens: ", first * problem.frames);
  return problem;
}

struct Call {
  Tensor value, locations, weights;
  Problem problem;
  Inputs inputs;

  Call(const Tensor& given, at::IntArrayRef shapes, const Tensor& where, const Tensor& shares,
       bool softmax) {
    check(given, shapes, where, shares);
    value = readable(given) ? given : given.clone(at::MemoryFormat::Contiguous);
    locations = where.contiguous();
    weights = shares.contiguous();
    problem = problem_of(value, shapes, locations, softmax);
    inputs = {scalar_of(value), weights.scalar_type() != value.scalar_type(),
              value.const_data_ptr(), locations.const_data_ptr(), weights.const_data_ptr()};
  }

  Schedule cut(bool backward) const {
    const Schedule cut =
        schedule(problem, static_cast<int>(value.element_size()),
                 static_cast<int>(locations.element_size()), multiprocessors(), backward);
    TORCH_CHECK(cut.shared_bytes <= kSharedBytes, "too many samples of a head of a query: ",
                problem.samples());
    return cut;
  }
};

Tensor forward(const Tensor& value, at::IntArrayRef shapes, const Tensor& locations,
               const Tensor& weights, bool softmax) {
  const DeviceGuard guard(value.device());
  const Call call(value, shapes, locations, weights, softmax);
  const int64_t channels = value.size(3) * value.size(4);
  Tensor output = at::empty({locations.size(0), locations.size(1), channels}, value.options());
  if (output.numel() > 0) {
    check_launch(launch_forward(call.problem, call.cut(false), call.inputs,
                                output.mutable_data_ptr(), current_stream()));
  }
  return output;
}

std::tuple<Tensor, Tensor, Tensor> backward(const Tensor& upstream, const Tensor& value,
                                            at::IntArrayRef shapes, const Tensor& locations,
                                            const Tensor& weights, bool softmax) {
  at::globalContext().alertNotDeterministic("pavenet::deformable_attention_backward");
  const DeviceGuard guard(value.device());
  const Call call(value, shapes, locations, weights, softmax);
  TORCH_CHECK(upstream.scalar_type() == value.scalar_type() &&
                  upstream.numel() == locations.size(0) * locations.size(1) * value.size(3) *
                                          value.size(4),
              "the gradient must be as the output, got ", upstream.scalar_type(), " ",
              upstream.sizes());
  Tensor from = upstream.contiguous();
  if (reinterpret_cast<uintptr_t>(from.const_data_ptr()) % kVectorBytes) from = from.clone();
  Tensor value_gradient = at::zeros(value.sizes(), call.locations.options());
  Tensor location_gradient = at::empty(locations.sizes(), call.locations.options());
  Tensor weight_gradient = at::empty(weights.sizes(), call.weights.options());
  if (from.numel() > 0) {
    check_launch(launch_backward(
        call.problem, call.cut(true), call.inputs, from.const_data_ptr(),
        value_gradient.mutable_data_ptr(), location_gradient.mutable_data_ptr(),
        weight_gradient.mutable_data_ptr(), current_stream()));
  }
  return {value_gradient.to(value.scalar_type()), location_gradient, weight_gradient};
}

}  // namespace
}  // namespace pavenet

// The schemas, fake tensors and gradient formula are in registration.py.
TORCH_LIBRARY_IMPL(pavenet, PAVENET_DISPATCH_KEY, library) {
  library.impl("deformable_attention", &pavenet::forward);
  library.impl("deformable_attention_backward", &pavenet::backward);
}
