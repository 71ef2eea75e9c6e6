// Everything of a batch, its results and tensors goes through the messages and comes back as it was.
#include "wire/wire.hpp"

#include <gmock/gmock.h>
#include <google/protobuf/message_lite.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/reward.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

RewardBatch some_batch() {
  const nlohmann::json first{{"t", "text"}, {"i", 7}, {"n", 0.5}, {"list", {1, 2}}}, second{{"t", nullptr}, {"i", -1}};
  const std::vector<std::int32_t> prompt{1, 2, 3}, ids{9, 8};
  RewardBatch batch(12);
  const auto a = batch.add_row({.prompt = "p", .messages = "[]", .prompt_ids = prompt, .columns = &first});
  const auto b = batch.add_row({.ground_truth = std::string_view("4\0"
                                                                 "2",
                                                                 3),
                                .columns = &second});
  batch.add_sample({.row = b, .index = 1, .completion = "çé", .finish = GRPO_FINISH_LENGTH, .ids = ids});
  batch.add_sample({.row = a, .completion = ""});
  return batch;
}

std::string text(const grpo_str& s) { return {s.data, static_cast<std::size_t>(s.size)}; }

void expect_equal(const grpo_reward_batch& x, const grpo_reward_batch& y) {
  ASSERT_EQ(x.n_rows, y.n_rows);
  ASSERT_EQ(x.n_samples, y.n_samples);
  ASSERT_EQ(x.n_columns, y.n_columns);
  EXPECT_EQ(x.step, y.step);
  for (std::int64_t r = 0; r < x.n_rows; ++r) {
    EXPECT_EQ(text(x.prompt[r]), text(y.prompt[r]));
    EXPECT_EQ(text(x.messages[r]), text(y.messages[r]));
    EXPECT_EQ(text(x.ground_truth[r]), text(y.ground_truth[r]));
    EXPECT_EQ(y.ground_truth[r].data[y.ground_truth[r].size], 0);
    EXPECT_EQ(x.prompt_start[r + 1], y.prompt_start[r + 1]);
  }
  for (std::int64_t i = 0; i < x.prompt_start[x.n_rows]; ++i) EXPECT_EQ(x.prompt_ids[i], y.prompt_ids[i]);
  for (std::int64_t s = 0; s < x.n_samples; ++s) {
    EXPECT_EQ(x.row[s], y.row[s]);
    EXPECT_EQ(x.index[s], y.index[s]);
    EXPECT_EQ(x.finish[s], y.finish[s]);
    EXPECT_EQ(text(x.completion[s]), text(y.completion[s]));
    EXPECT_EQ(x.completion_start[s + 1], y.completion_start[s + 1]);
  }
  for (std::int64_t i = 0; i < x.completion_start[x.n_samples]; ++i)
    EXPECT_EQ(x.completion_ids[i], y.completion_ids[i]);
  for (std::int64_t c = 0; c < x.n_columns; ++c) {
    const grpo_column &p = *x.columns[c], &q = *y.columns[c];
    EXPECT_STREQ(p.name, q.name);
    ASSERT_EQ(p.type, q.type);
    EXPECT_EQ(p.text == nullptr, q.text == nullptr);
    EXPECT_EQ(p.integer == nullptr, q.integer == nullptr);
    EXPECT_EQ(p.number == nullptr, q.number == nullptr);
    for (std::int64_t r = 0; r < x.n_rows; ++r) {
      if (p.text) {
        EXPECT_EQ(text(p.text[r]), text(q.text[r]));
      }
      if (p.integer) {
        EXPECT_EQ(p.integer[r], q.integer[r]);
      }
      if (p.number && !std::isnan(p.number[r])) {
        EXPECT_EQ(p.number[r], q.number[r]);
      }
      if (p.number) {
        EXPECT_EQ(std::isnan(p.number[r]), std::isnan(q.number[r]));
      }
    }
  }
}

TEST(Wire, BatchThereAndBack) {
  const RewardBatch batch = some_batch();
  wire::RewardBatch message;
  wire::write(*batch.get(), message);
  const wire::RewardBatchView view(message);
  message.Clear();  // the view keeps what it needs
  expect_equal(*batch.get(), *view.get());
  const RewardBatch empty;
  wire::write(*empty.get(), message);
  EXPECT_EQ(wire::RewardBatchView(message).get()->n_samples, 0);
}

TEST(Wire, Results) {
  const std::vector<double> score{1, std::nan("")}, part{0.5, 0.25};
  const std::vector<std::int32_t> status{GRPO_SAMPLE_OK, GRPO_SAMPLE_ERROR};
  std::vector<grpo_str> message{{"", 0}, {"bad", 3}};
  wire::RewardArrays arrays{2, score.data(), status.data(), message.data(), {{"format", part.data()}}};
  wire::RewardResult result;
  wire::write(arrays, result);
  EXPECT_EQ(result.score(0), 1);
  EXPECT_TRUE(std::isnan(result.score(1)));
  EXPECT_EQ(result.status(1), GRPO_SAMPLE_ERROR);
  EXPECT_EQ(result.message(1), "bad");
  EXPECT_EQ(result.component(0).name(), "format");
  EXPECT_EQ(result.component(0).value(1), 0.25);
  message[1] = {nullptr, 0};
  wire::write(arrays, result);
  EXPECT_EQ(result.message_size(), 0);
}

std::string refusal(const wire::RewardBatch& message) {
  try {
    const wire::RewardBatchView view(message);
  } catch (const Error& e) {
    return e.what();
  }
  return "taken";
}

TEST(Wire, WhatCannotBeABatchIsRefused) {
  const RewardBatch batch = some_batch();
  wire::RewardBatch good;
  wire::write(*batch.get(), good);
  EXPECT_EQ(refusal(good), "taken");
  const auto broken = [&](auto change) {
    wire::RewardBatch message = good;
    change(message);
    return refusal(message);
  };
  EXPECT_THAT(broken([](auto& m) { m.mutable_row()->Set(0, 2); }), HasSubstr("sample 0 belongs to row 2 of 2"));
  EXPECT_THAT(broken([](auto& m) { m.set_n_samples(3); }), HasSubstr("has 2 elements in row; 3 are due"));
  EXPECT_THAT(broken([](auto& m) { m.set_n_rows(-1); }), HasSubstr("negative"));
  EXPECT_THAT(broken([](auto& m) { m.mutable_prompt_start()->Set(1, -5); }), HasSubstr("prompt_start falls"));
  EXPECT_THAT(broken([](auto& m) { m.mutable_completion_start()->Set(2, 1 << 30); }), HasSubstr("completion_ids"));
  EXPECT_THAT(broken([](auto& m) { m.mutable_column(0)->set_type(9); }), HasSubstr("unknown type 9"));
}

// Bytes that were changed anywhere make a batch or a message, nothing else.
TEST(Wire, ChangedBytes) {
  const RewardBatch batch = some_batch();
  wire::RewardBatch message;
  wire::write(*batch.get(), message);
  const std::string good = message.SerializeAsString();
  std::mt19937 random(5);
  int taken = 0, refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = good;
    for (int k = 0; k < 3; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      wire::RewardBatch changed;
      if (!changed.ParseFromString(bytes)) continue;
      const wire::RewardBatchView view(changed);
      const grpo_reward_batch& b = *view.get();
      for (std::int64_t s = 0; s < b.n_samples; ++s) ASSERT_LT(b.row[s], b.n_rows);
      ++taken;
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(taken, 0);
  EXPECT_GT(refused, 0);
}

TEST(Wire, Tensors) {
  const std::vector<float> values{0, 1, 2, 3, 4, 5};
  std::int64_t shape[2]{3, 2}, strides[2]{1, 3};  // transposed
  grpo_tensor tensor{};
  tensor.struct_size = sizeof tensor;
  tensor.dl = {const_cast<float*>(values.data()), GRPO_DEVICE_CPU, 0, 2, GRPO_TYPE_FLOAT, 32, 1, shape, strides, 0};
  grpo_named_tensor named{sizeof named, 0, "weight", &tensor};
  wire::Tensor message;
  wire::write(named, message);
  const wire::TensorView view(message);
  EXPECT_STREQ(view.named()->name, "weight");
  const auto* got = static_cast<const float*>(view.get()->dl.data);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got) % 64, 0u);
  EXPECT_THAT(std::vector<float>(got, got + 6), testing::ElementsAre(0, 3, 1, 4, 2, 5));
  message.mutable_data()->resize(20);
  EXPECT_THROW(wire::TensorView{message}, Error);
  wire::write_shape(tensor, message);
  EXPECT_EQ(message.elements(), 6);
  EXPECT_TRUE(message.data().empty());
  EXPECT_THROW(wire::TensorView{message}, Error);
  shape[0] = -1;
  EXPECT_THROW(wire::write(tensor, message), Error);
}

TEST(Wire, Streams) {
  wire::Envelope call;
  std::stringstream file;
  for (int i = 1; i <= 3; ++i) {
    call.set_id(static_cast<std::uint64_t>(i));
    call.set_function(std::string(static_cast<std::size_t>(i) * 100, 'f'));
    wire::write_delimited(file, call, "calls");
  }
  const std::string bytes = file.str();
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(wire::read_delimited(file, call, "calls"));
    EXPECT_EQ(call.id(), static_cast<std::uint64_t>(i));
  }
  EXPECT_FALSE(wire::read_delimited(file, call, "calls"));
  std::string_view rest = bytes;
  int n = 0;
  while (wire::take_delimited(rest, call, "calls")) ++n;
  EXPECT_EQ(n, 3);
  // Cut anywhere: the messages before the cut, then a text that names the stream.
  for (std::size_t cut = 1; cut < bytes.size(); cut += 7) {
    std::istringstream part(bytes.substr(0, cut));
    try {
      while (wire::read_delimited(part, call, "calls")) {
      }
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("calls: ends within"));
    }
  }
  std::istringstream garbage("\xff\xff\xff\xff\xff\xff\xff\xff");
  EXPECT_THROW(wire::read_delimited(garbage, call, "calls"), Error);
}

}  // namespace
}  // namespace grpo::plugins
