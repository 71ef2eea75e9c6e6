// torch_slices.hpp: an optimizer's slices and state as LibTorch tensors, on whatever device the slices are.
//
// Main idea. A slice is a view of the memory that its DLPack tensor names: nothing is copied. State is fp32 on the same
// device, one buffer for each kind. The host reads and writes state in its own memory; so beside state on a device
// there are copies in host memory, made when they are asked for.
#ifndef ADAMW_TORCH_SLICES_HPP
#define ADAMW_TORCH_SLICES_HPP

#include <ATen/ATen.h>

#include <grpo/optimizer.hpp>

#include <deque>
#include <string>
#include <vector>

namespace optimizers {

struct torch_slice {
  const grpo_slice* of;
  at::Tensor value, gradient;     // [n], views of the host's
  at::Tensor master;              // [n] fp32; value itself if that is fp32
  std::vector<at::Tensor> state;  // [n] fp32 each, in the order of bind's `what`
};

// [one thread], in inference mode.
class torch_slices {
 public:
  // copied: the host gets copies of the state, as it must where state is on a device.
  explicit torch_slices(bool copied = false) : copied_(copied) {}

  // Once. Makes a state tensor "<slice>@<offset>.<what>" for each of `what`, and "master" where values have 16 bits.
  // Throws grpo::failure, and c10::Error.
  void bind(grpo::span<const grpo_slice* const> list, const std::vector<const char*>& what);
  const std::deque<torch_slice>& all() const { return slices_; }

  // The sum of squares in double of all gradients but duplicates; one synchronisation.
  double squared_norm() const;
  // Throws grpo::failure, naming the parameter, unless |gradient * scale| <= limit everywhere; one synchronisation.
  void check_gradients(double scale, double limit) const;
  // Where somebody has written a value of 16 bits, its master follows; and the values become the masters' roundings.
  void follow();
  void narrow();

  // Where state is copied: up to date when state returns, taken over by state_written.
  grpo::span<const grpo_named_tensor* const> state();
  void state_written();

 private:
  struct tensor {
    std::string name;
    std::int64_t shape[1];
    at::Tensor own, host;  // [n]; the same tensor unless copied
    grpo_tensor view{};
    grpo_named_tensor named{};
  };
  at::Tensor add_state(const grpo_slice& of, at::Tensor own, const char* what);

  bool copied_, bound_ = false;
  std::deque<torch_slice> slices_;
  std::deque<tensor> tensors_;
  std::vector<const grpo_named_tensor*> named_;
};

}  // namespace optimizers

#endif
