// State that is kept on a device reaches the host as copies, and comes back. Here the device is the CPU: asked to make
// copies, the same code runs.
#include "torch_slices.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace {

TEST(TorchSlices, CopyTheirStateForTheHostAndBack) {
  std::int64_t shape[] = {2, 3};
  float wide[6] = {1, 2, 3, 4, 5, 6}, gradient[6] = {};
  std::uint16_t narrow[6] = {0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0};  // 1 to 6 in bf16
  const auto tensor = [&](void* data, int type, int bits) {
    grpo_tensor t{};
    t.struct_size = sizeof t;
    t.dl = {data, GRPO_DEVICE_CPU, 0,       2, static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(bits),
            1,    shape,           nullptr, 0};
    return t;
  };
  const grpo_tensor values[] = {tensor(wide, GRPO_TYPE_FLOAT, 32), tensor(narrow, GRPO_TYPE_BFLOAT, 16)},
                    gradients = tensor(gradient, GRPO_TYPE_FLOAT, 32);
  grpo_slice slices[2]{};
  const grpo_slice* list[] = {&slices[0], &slices[1]};
  for (int i = 0; i < 2; ++i) {
    slices[i].struct_size = sizeof slices[i];
    slices[i].name = i ? "narrow" : "wide";
    slices[i].whole_ndim = 2;
    slices[i].whole_shape = shape;
    slices[i].value = &values[i];
    slices[i].gradient = &gradients;
  }
  optimizers::torch_slices bound(/*copied=*/true);
  bound.bind({list, 2}, {"exp_avg"});
  bound.all()[0].state[0].fill_(3);
  const auto seen = [&] {
    std::map<std::string, float*> out;
    for (const auto* named : bound.state()) {
      EXPECT_EQ(named->tensor->dl.device_type, GRPO_DEVICE_CPU);
      EXPECT_EQ(named->tensor->dl.shape[0], 6);
      out[named->name] = static_cast<float*>(named->tensor->dl.data);
    }
    return out;
  };
  auto state = seen();
  ASSERT_EQ(state.size(), 3u);
  EXPECT_EQ(state.at("wide@0.exp_avg")[5], 3);
  EXPECT_EQ(state.at("narrow@0.exp_avg")[5], 0);
  EXPECT_EQ(state.at("narrow@0.master")[5], 6);
  EXPECT_NE(state.at("wide@0.exp_avg"), bound.all()[0].state[0].const_data_ptr<float>()) << "a copy";
  // What the host writes counts when it says so, not before.
  state.at("wide@0.exp_avg")[2] = 7;
  EXPECT_EQ(bound.all()[0].state[0][2].item<float>(), 3);
  bound.state_written();
  EXPECT_EQ(bound.all()[0].state[0][2].item<float>(), 7);
  EXPECT_EQ(seen().at("wide@0.exp_avg")[2], 7);
}

}  // namespace
