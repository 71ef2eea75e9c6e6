// Adapters. Their values and gradients against PEFT are among the models of forward_test.cpp; here is the rest of what
// a model with them does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <grpo/kit/safetensors.hpp>
#include <random>

#include "stream.hpp"
#include "support.hpp"

namespace grpo::test {
namespace {

using testing::HasSubstr;

const char* const adapted = "lora_qwen3_bias";
const char* const base = "qwen3_bias";

std::string path_of(const std::string& name) { return (models() / name).string(); }
nlohmann::json at(const std::string& name) { return {{"path", path_of(name)}}; }

Batch some_batch() {
  std::mt19937 random(5);
  Batch batch;
  const auto node = batch.add(-1, random_tokens(random, 12));
  for (std::int64_t t = 0; t < 11; ++t)
    batch.score(batch.node_start[static_cast<std::size_t>(node)] + t, batch.token[static_cast<std::size_t>(t) + 1]);
  return batch;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::fabs(static_cast<double>(a[i] - b[i])));
  return most;
}

Stream exported(Model& model, std::uint32_t flags) {
  Stream stream;
  const Call call;
  const auto sink = stream.sink(flags);
  EXPECT_EQ(model.table().export_weights(model.handle(), call, &sink), GRPO_STATUS_OK);
  return stream;
}

std::string failure_of(const nlohmann::json& options) {
  try {
    Model model(options);
    return "no failure";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

TEST(Adapter, OfNoTrainingAddsNothingAndTheBaseIsThere) {
  Model fresh({{"path", path_of(base)}, {"lora", {{"rank", 4}}}}), plain(at(base)), trained(at(adapted));
  const auto expected = plain.forward(some_batch()).logprob;
  EXPECT_EQ(fresh.forward(some_batch()).logprob, expected);
  EXPECT_EQ(trained.forward(some_batch(), GRPO_FORWARD_BASE).logprob, expected);
  EXPECT_GT(largest_difference(trained.forward(some_batch()).logprob, expected), 0.1);
  EXPECT_TRUE(fresh.info().flags & GRPO_MODEL_ADAPTED);
  EXPECT_FALSE(plain.info().flags & GRPO_MODEL_ADAPTED);
  EXPECT_THROW(plain.forward(some_batch(), GRPO_FORWARD_BASE), std::runtime_error);
  EXPECT_THROW(trained.forward(some_batch(), GRPO_FORWARD_BASE | GRPO_FORWARD_TRAIN), std::runtime_error);
}

TEST(Adapter, LeavesMergedOrAlone) {
  Model from(at(adapted)), plain(at(base)), fresh({{"path", path_of(base)}, {"lora", {{"rank", 3}, {"alpha", 7}}}});
  const auto expected = from.forward(some_batch()).logprob;
  const Call call;

  auto merged = exported(from, 0);
  const kit::Checkpoint checkpoint(models() / base);
  EXPECT_EQ(merged.tensors.size(), checkpoint.names().size());
  const auto whole = merged.source();
  ASSERT_EQ(plain.table().import_weights(plain.handle(), call, 1, &whole), GRPO_STATUS_OK);
  EXPECT_LT(largest_difference(plain.forward(some_batch()).logprob, expected), 1e-4);

  auto alone = exported(from, GRPO_SINK_TRAINED);
  const kit::SafetensorsFile file(models() / adapted / "adapter_model.safetensors");
  EXPECT_EQ(alone.tensors.size(), file.tensors().size());
  for (const auto& t : file.tensors())
    EXPECT_EQ(std::memcmp(alone.tensors.at(t.name).second.data(), t.data, t.bytes), 0) << t.name;
  const auto trained = alone.source();
  ASSERT_EQ(fresh.table().import_weights(fresh.handle(), call, 1, &trained), GRPO_STATUS_OK);
  EXPECT_EQ(fresh.forward(some_batch()).logprob, expected);

  // Whole weights into a model with an adapter: they are its new base, and the adapter adds nothing.
  Stream again = merged;
  again.names.clear();
  const auto source = again.source();
  ASSERT_EQ(fresh.table().import_weights(fresh.handle(), call, 2, &source), GRPO_STATUS_OK);
  EXPECT_EQ(fresh.forward(some_batch()).logprob, plain.forward(some_batch()).logprob);
}

TEST(Adapter, AloneIsTrained) {
  Model model(at(adapted));
  std::size_t frozen = 0, trained = 0;
  for (const auto* p : model.parameters()) {
    const bool is_adapter = std::string(p->name).find(".lora_") != std::string::npos;
    EXPECT_EQ((p->flags & GRPO_PARAMETER_FROZEN) == 0, is_adapter) << p->name;
    EXPECT_EQ(p->gradient != nullptr, is_adapter) << p->name;
    ++(is_adapter ? trained : frozen);
  }
  EXPECT_EQ(trained, 28u);
  EXPECT_GT(frozen, 20u);
}

TEST(Adapter, DropoutIsOfTrainingAloneAndRepeats) {
  const nlohmann::json options{{"path", path_of(adapted)},
                               {"lora", {{"rank", 3}, {"alpha", 7}, {"dropout", 0.5}, {"targets", "all-linear"}}}};
  // PEFT wrote the targets' whole names; the file's own are taken when lora is left out.
  EXPECT_THAT(failure_of(options), HasSubstr("has another rank, alpha or targets"));

  const nlohmann::json fresh{{"path", path_of(base)}, {"lora", {{"rank", 3}, {"dropout", 0.5}}}};
  Model a(fresh), b(fresh);
  for (Model* m : {&a, &b}) {
    for (const auto* p : m->parameters())
      if (std::string(p->name).find("lora_B") != std::string::npos) {
        const auto& dl = p->value->dl;
        for (std::int64_t i = 0; i < dl.shape[0] * dl.shape[1]; ++i)
          static_cast<float*>(dl.data)[i] = 0.1f * static_cast<float>(i % 7 - 3);
      }
    m->commit(4);
  }
  const auto still = a.forward(some_batch()).logprob;
  const auto first = a.forward(some_batch(), GRPO_FORWARD_TRAIN), second = a.forward(some_batch(), GRPO_FORWARD_TRAIN);
  EXPECT_GT(largest_difference(first.logprob, still), 1e-3);
  EXPECT_GT(largest_difference(first.logprob, second.logprob), 1e-3);
  EXPECT_EQ(b.forward(some_batch(), GRPO_FORWARD_TRAIN).logprob, first.logprob);
}

// By finite differences: the mask of backward is that of forward.
TEST(Adapter, GradientsAreThoseOfTheDroppedOutModel) {
  const nlohmann::json options{{"path", path_of(base)},
                               {"lora", {{"rank", 2}, {"dropout", 0.3}, {"targets", {"v_proj"}}}}};
  Model model(options);
  const auto value_at_zero = [&](std::size_t which, std::int64_t at, float change) {
    auto* data = static_cast<float*>(model.parameters()[which]->value->dl.data);
    data[at] += change;
    model.commit(9);
    const auto scores = model.forward(some_batch(), GRPO_FORWARD_TRAIN);
    double sum = 0;
    for (const float v : scores.logprob) sum += v;
    model.backward(scores.ticket, std::vector<float>(scores.logprob.size(), 1));
    data[at] -= change;
    return sum;
  };
  const auto parameters = model.parameters();
  int looked_at = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i]->flags & GRPO_PARAMETER_FROZEN) continue;
    const std::string name = parameters[i]->name;
    if (name.find("lora_B") == std::string::npos) continue;  // A's gradient is zero while B is
    model.zero_grad();
    value_at_zero(i, 5, 0);
    const double gradient = model.gradients().at(name)[5];
    const float h = 2e-2f;
    EXPECT_NEAR((value_at_zero(i, 5, h) - value_at_zero(i, 5, -h)) / (2 * h), gradient,
                2e-2 * std::fabs(gradient) + 2e-3)
        << name;
    ++looked_at;
  }
  EXPECT_EQ(looked_at, 2);
}

TEST(Adapter, WhatCannotBeIsRefusedByName) {
  const auto with = [](const nlohmann::json& lora) { return failure_of({{"path", path_of(base)}, {"lora", lora}}); };
  EXPECT_THAT(with({{"alpha", 3}}), HasSubstr("option lora.rank: not given"));
  EXPECT_THAT(with({{"rank", 0}}), HasSubstr("option lora.rank: 0 is not a rank"));
  EXPECT_THAT(with({{"rank", 4}, {"targets", {"q_prj"}}}), HasSubstr("\"q_prj\" is no matrix"));
  EXPECT_THAT(with({{"rank", 4}, {"dropout", 1}}), HasSubstr("option lora.dropout"));
  EXPECT_THAT(with({{"rank", 4}, {"alhpa", 1}}), HasSubstr("no such key"));
}

}  // namespace
}  // namespace grpo::test
