// upload.hpp: many small host arrays to a device in one copy, which the host does not wait for.
//
//     Upload up;
//     const auto a = up.add(integers), b = up.add(doubles);
//     up.send(device);
//     up.integers(a, {n}); up.doubles(b, {n, 2});      // views of one buffer on the device
#ifndef GRPO_TRANSFORMER_UPLOAD_HPP
#define GRPO_TRANSFORMER_UPLOAD_HPP

#include <ATen/ATen.h>

#include <bit>
#include <vector>

namespace grpo::transformer {

class Upload {
 public:
  std::int64_t add(const std::vector<std::int64_t>& values) {
    const auto at = static_cast<std::int64_t>(words_.size());
    words_.insert(words_.end(), values.begin(), values.end());
    return at;
  }
  std::int64_t add(const std::vector<double>& values) {
    const auto at = static_cast<std::int64_t>(words_.size());
    for (const double x : values) words_.push_back(std::bit_cast<std::int64_t>(x));
    return at;
  }

  // From pinned memory, so that the host does not wait for the device.
  void send(at::Device device) {
    host_ = at::empty({static_cast<std::int64_t>(words_.size())},
                      at::TensorOptions().dtype(at::kLong).pinned_memory(device.is_cuda()));
    std::copy(words_.begin(), words_.end(), host_.mutable_data_ptr<std::int64_t>());
    device_ = host_.to(device, /*non_blocking=*/true);
  }

  at::Tensor integers(std::int64_t at, at::IntArrayRef shape) const {
    return device_.narrow(0, at, c10::multiply_integers(shape)).view(shape);
  }
  at::Tensor doubles(std::int64_t at, at::IntArrayRef shape) const {
    return device_.narrow(0, at, c10::multiply_integers(shape)).view(at::kDouble).view(shape);
  }

 private:
  std::vector<std::int64_t> words_;
  at::Tensor host_, device_;
};

// [n] int64 on the device. On the CPU a copy too.
inline at::Tensor index_tensor(const std::vector<std::int64_t>& values, at::Device device) {
  Upload upload;
  const auto at = upload.add(values);
  upload.send(device);
  return upload.integers(at, {static_cast<std::int64_t>(values.size())});
}

}  // namespace grpo::transformer

#endif
