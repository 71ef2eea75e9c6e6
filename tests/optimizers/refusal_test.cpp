// A step that is refused has changed nothing; what cannot be stepped is named.
#include <cmath>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Numbers;
using bench::Type;
using testing::AllOf;
using testing::HasSubstr;

TEST(Refusal, OfAGradientThatIsNotFiniteChangesNothing) {
  for (const char* kind : {"adamw", "sgd"})
    for (const Type type : {Type::fp32, Type::bf16}) {
      test::Options options{{"momentum", 0.9}};
      const std::int64_t n = 100'000;
      Bench bench(kind, options, bench::numbers(5, n), {{"first", 0, 10'000}, {"second.weight", 10'000, n - 10'000}},
                  type);
      bench.gradient.write(bench::numbers(6, n));
      bench.step(1, 0.1);
      const Numbers value = bench.value.read();
      const auto state = bench.state();
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        bench.gradient[90'123] = bad;
        test::Call call;
        EXPECT_EQ(bench.try_step(call, 2, 0.1), GRPO_STATUS_FAILED);
        EXPECT_THAT(call.error(),
                    AllOf(HasSubstr("second.weight"), HasSubstr("element 90123"), HasSubstr("nothing was changed")));
        EXPECT_EQ(bench.value.read(), value);
        EXPECT_EQ(bench.state(), state);
        EXPECT_FALSE(std::isfinite(bench.squared_norm()));
      }
      bench.gradient[90'123] = 1;
      bench.step(2, 0.1);
      EXPECT_NE(bench.value.read(), value);
    }
}

TEST(Refusal, OfAGradientWhoseSquareIsNotFinite) {
  test::Options options;
  Bench bench("adamw", options, Numbers(8, 1.f), bench::whole(8));
  bench.gradient[3] = 1e25f;
  test::Call call;
  EXPECT_EQ(bench.try_step(call, 1, 0.1), GRPO_STATUS_FAILED);
  EXPECT_THAT(call.error(), HasSubstr("too large to square"));
  bench.step(1, 0.1, 1e-20);  // what counts is the gradient after scaling
}

TEST(Refusal, OfStepsThatMakeNoSense) {
  test::Options options;
  Bench bench("adamw", options, Numbers(8, 1.f), bench::whole(8));
  for (const auto& [number, rate, scale] :
       {std::tuple{0, 0.1, 1.0}, std::tuple{1, double{NAN}, 1.0}, std::tuple{1, 0.1, double{INFINITY}}}) {
    test::Call call;
    EXPECT_EQ(bench.try_step(call, number, rate, scale), GRPO_STATUS_INVALID);
  }
  EXPECT_EQ(bench.value.read(), Numbers(8, 1.f));
}

// The words with which bind refuses a slice that `change` has spoilt.
template <class Change>
std::string refusal(grpo_status expected, Change&& change) {
  const auto* table = bench::table_of("adamw");
  test::Call call;
  void* handle = nullptr;
  EXPECT_EQ(table->open(call, test::Options(), &handle), GRPO_STATUS_OK);
  Numbers data(64);
  std::int64_t shape[] = {4, 8}, strides[] = {8, 1};
  grpo_tensor tensors[] = {test::make<grpo_tensor>(), test::make<grpo_tensor>()};
  for (auto& t : tensors) t.dl = {data.data(), GRPO_DEVICE_CPU, 0, 2, GRPO_TYPE_FLOAT, 32, 1, shape, strides, 0};
  auto slice = test::make<grpo_slice>();
  slice.name = "layers.3.weight";
  slice.whole_ndim = 2;
  slice.whole_shape = shape;
  slice.value = &tensors[0];
  slice.gradient = &tensors[1];
  change(slice, tensors[0], tensors[1]);
  const grpo_slice* list[] = {&slice, &slice};
  EXPECT_EQ(table->bind(handle, call, slice.offset ? 2 : 1, list), expected);
  table->close(handle);
  return call.error();
}

TEST(Refusal, NamesTheSlice) {
  const auto unsupported = [](auto change) { return refusal(GRPO_STATUS_UNSUPPORTED, change); };
  EXPECT_EQ(refusal(GRPO_STATUS_OK, [](auto&, auto&, auto&) {}), "");
  EXPECT_THAT(
      unsupported([](auto&, auto& v, auto&) { v.dl.device_type = GRPO_DEVICE_CUDA; }),
      AllOf(HasSubstr("layers.3.weight"), HasSubstr("CUDA"), HasSubstr("adamw_torch"), HasSubstr("model.device: cpu")));
  EXPECT_THAT(unsupported([](auto&, auto& v, auto&) { v.dl.bits = 64; }),
              AllOf(HasSubstr("layers.3.weight"), HasSubstr("fp64")));
  EXPECT_THAT(unsupported([](auto&, auto&, auto& g) { g.dl.type = GRPO_TYPE_INT; }),
              AllOf(HasSubstr("gradient"), HasSubstr("int32")));
  EXPECT_THAT(unsupported([](auto&, auto&, auto& g) { g.dl.bits = 16; }), HasSubstr("neither fp32 nor"));
  EXPECT_THAT(unsupported([](auto&, auto& v, auto&) {
                static std::int64_t gaps[] = {16, 1};
                v.dl.strides = gaps;
              }),
              HasSubstr("contiguous"));
  const auto invalid = [](auto change) { return refusal(GRPO_STATUS_INVALID, change); };
  EXPECT_THAT(invalid([](auto& s, auto&, auto&) { s.gradient = nullptr; }), HasSubstr("layers.3.weight"));
  EXPECT_THAT(invalid([](auto&, auto&, auto& g) { g.dl.ndim = 1, g.dl.strides = nullptr; }),
              HasSubstr("differ in size"));
  EXPECT_THAT(invalid([](auto&, auto& v, auto&) { v.flags = GRPO_TENSOR_READ_ONLY; }), HasSubstr("read-only"));
  EXPECT_THAT(invalid([](auto& s, auto&, auto&) { s.offset = 7; }), HasSubstr("layers.3.weight@7 is there twice"));
}

TEST(Refusal, OfOptionsOutOfRange) {
  const auto said = [](const char* kind, bench::Values options) {
    test::Call call;
    void* handle = nullptr;
    EXPECT_EQ(bench::table_of(kind)->open(call, test::Options(options), &handle), GRPO_STATUS_INVALID);
    return call.error();
  };
  EXPECT_THAT(said("adamw", {{"beta1", 1}}), HasSubstr("beta1"));
  EXPECT_THAT(said("adamw", {{"beta2", -0.5}}), HasSubstr("beta2"));
  EXPECT_THAT(said("adamw", {{"epsilon", NAN}}), HasSubstr("epsilon"));
  EXPECT_THAT(said("sgd", {{"weight_decay", -1}}), HasSubstr("weight_decay"));
  EXPECT_THAT(said("sgd", {{"nesterov", 1}}), HasSubstr("nesterov needs momentum"));
}

TEST(Refusal, OfAnythingBeforeBind) {
  const auto* table = bench::table_of("sgd");
  test::Call call;
  void* handle = nullptr;
  ASSERT_EQ(table->open(call, test::Options(), &handle), GRPO_STATUS_OK);
  double sum = 0;
  EXPECT_EQ(table->squared_norm(handle, call, &sum), GRPO_STATUS_INVALID);
  table->close(handle);
}

}  // namespace
