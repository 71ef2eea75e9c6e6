// The rules around the numbers: tickets, weights in and out, cancelling, and every kind of bad input.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <grpo/kit/safetensors.hpp>

#include "stream.hpp"
#include "support.hpp"

namespace grpo::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

json tiny(const std::string& name = "llama_tied") { return {{"path", (models() / name).string()}}; }

Batch small_batch() {
  Batch batch;
  batch.add_scored({5, 6, 7, 8, 9});
  return batch;
}

template <typename Body>
std::string failure(const Body& body) {
  try {
    body();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

TEST(Tickets, EndOnce) {
  Model model(tiny());
  const std::vector<float> ones(4, 1.0f);
  const auto first = model.forward(small_batch(), true), second = model.forward(small_batch(), true);
  EXPECT_NE(first.ticket, second.ticket);
  EXPECT_THAT(failure([&] { model.commit(); }), HasSubstr("2: "));
  model.backward(first.ticket, ones);
  EXPECT_THAT(failure([&] { model.backward(first.ticket, ones); }), AllOf(HasSubstr("2: "), HasSubstr("ticket")));
  model.table().drop(model.handle(), second.ticket);
  EXPECT_THAT(failure([&] { model.backward(second.ticket, ones); }), HasSubstr("2: "));
  EXPECT_THAT(failure([&] { model.backward(12345, ones); }), HasSubstr("2: "));
  EXPECT_GE(model.info().max_tickets, 2);
  for (int i = 0; i < model.info().max_tickets; ++i) model.forward(small_batch(), true);
  EXPECT_THAT(failure([&] { model.forward(small_batch(), true); }), HasSubstr("2: "));
}

TEST(Describe, TellsWhatItIs) {
  Model model(tiny());
  const auto& info = model.info();
  EXPECT_EQ(info.vocabulary, 128);
  EXPECT_EQ(info.max_positions, 128);
  EXPECT_EQ(info.max_depth, 0);
  const auto list = model.parameters();
  std::int64_t elements = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    EXPECT_STRNE(list[i]->name, "lm_head.weight") << "a tied tensor is listed once";
    std::int64_t size = 1;
    for (int d = 0; d < list[i]->value->dl.ndim; ++d) size *= list[i]->value->dl.shape[d];
    elements += size;
  }
  EXPECT_EQ(elements, info.n_elements);
  // 2 layers of 4 hidden x hidden-ish matrices and the MLP, and the head
  EXPECT_EQ(info.flops_per_token, 2.0 * (2 * (32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48) + 128 * 32));
}

TEST(Weights, CommitMakesWrittenValuesCount) {
  for (const auto* dtype : {"float32", "bfloat16"}) {
    auto options = tiny();
    options["dtype"] = dtype;
    Model model(options);
    const auto before = model.forward(small_batch()).logprob;
    const auto list = model.parameters();
    auto* values = static_cast<float*>(list[0]->value->dl.data);
    for (int i = 0; i < 128 * 32; ++i) values[i] *= 1.5f;
    model.commit();
    EXPECT_NE(model.forward(small_batch()).logprob, before);
  }
}

TEST(Weights, GoOutAndComeIn) {
  Model from(tiny("qwen3")), to({{"path", (models() / "qwen3").string()}, {"init", "random"}, {"seed", 4}});
  const auto expected = from.forward(small_batch()).logprob;
  ASSERT_NE(to.forward(small_batch()).logprob, expected);
  Stream stream;
  const Call call;
  const auto sink = stream.sink();
  check(from.table().export_weights(from.handle(), call, &sink), call);
  EXPECT_EQ(stream.tensors.size(), from.values().size());
  // What leaves is what the files hold, name for name.
  const kit::Checkpoint checkpoint(models() / "qwen3");
  EXPECT_EQ(stream.tensors.size(), checkpoint.names().size());
  for (const auto& name : checkpoint.names()) {
    ASSERT_TRUE(stream.tensors.count(name)) << name;
    EXPECT_EQ(stream.tensors[name].first, checkpoint.at(name).shape) << name;
    EXPECT_EQ(std::memcmp(stream.tensors[name].second.data(), checkpoint.at(name).data, checkpoint.at(name).bytes), 0);
  }
  const auto source = stream.source();
  check(to.table().import_weights(to.handle(), call, 7, &source), call);
  EXPECT_EQ(to.forward(small_batch()).logprob, expected);
  // A stream that lacks a tensor, or has one of another shape, changes nothing.
  for (const bool lacking : {true, false}) {
    Stream bad = stream;
    bad.names.clear();
    if (lacking) {
      bad.tensors.erase("model.norm.weight");
    } else {
      bad.tensors["model.norm.weight"].first = {31};
    }
    bad.tensors["model.embed_tokens.weight"].second[0] += 1;
    const auto bad_source = bad.source();
    Call failing;
    EXPECT_EQ(to.table().import_weights(to.handle(), failing, 8, &bad_source), GRPO_STATUS_INVALID);
    EXPECT_THAT(failing.error, HasSubstr("model.norm.weight"));
    EXPECT_EQ(to.forward(small_batch()).logprob, expected);
  }
}

TEST(Weights, RandomDependsOnTheSeedAlone) {
  const auto open = [](int seed) {
    return Model({{"path", (models() / "qwen2").string()}, {"init", "random"}, {"seed", seed}}).values();
  };
  const auto values = open(1);
  EXPECT_EQ(values, open(1));
  EXPECT_NE(values, open(2));
  double sum = 0, squares = 0;
  const auto& w = values.at("model.embed_tokens.weight");
  for (const float x : w) {
    sum += x;
    squares += static_cast<double>(x) * x;
  }
  const auto n = static_cast<double>(w.size());
  EXPECT_NEAR(sum / n, 0, 4 * 0.02 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.02 * 4 / std::sqrt(2 * n));
  for (const float x : values.at("model.norm.weight")) EXPECT_EQ(x, 1.0f);
  for (const float x : values.at("model.layers.0.self_attn.q_proj.bias")) EXPECT_EQ(x, 0.0f);
}

TEST(Arguments, AreChecked) {
  Model model(tiny());
  const auto refused = [&](const char* what, auto change) {
    auto batch = small_batch();
    change(batch);
    EXPECT_THAT(failure([&] { model.forward(batch); }), AllOf(HasSubstr("2: "), HasSubstr(what)));
  };
  refused("token[2] is 128", [](Batch& b) { b.token[2] = 128; });
  refused("token[0] is -1", [](Batch& b) { b.token[0] = -1; });
  refused("target_at[1] is 5", [](Batch& b) { b.target_at[1] = 5; });
  refused("target_token[3] is 500", [](Batch& b) { b.target_token[3] = 500; });
  refused("temperature", [](Batch& b) { b.temperature = 0; });
  refused("parent[0]", [](Batch& b) { b.parent[0] = 0; });
  refused("node_start", [](Batch& b) { b.node_start[1] = 4; });
  refused("129 tokens; the model takes 128", [](Batch& b) { b.add(0, std::vector<std::int32_t>(124, 1)); });
  refused("empty", [](Batch& b) { b = Batch(); });
  EXPECT_EQ(failure([&] { model.forward(small_batch()); }), "");
}

TEST(Arguments, CancelledForwardLeavesNothing) {
  Model model(tiny());
  grpo_forest forest{};
  forest.struct_size = sizeof forest;
  const auto b = small_batch();
  forest.n_tokens = 5;
  forest.n_nodes = 1;
  forest.token = b.token.data();
  forest.node_start = b.node_start.data();
  forest.parent = b.parent.data();
  std::vector<float> logprob(4);
  std::uint64_t ticket = 0;
  grpo_forward a{};
  a.struct_size = sizeof a;
  a.flags = GRPO_FORWARD_TRAIN;
  a.forest = &forest;
  a.temperature = 1;
  a.n_targets = 4;
  a.target_at = b.target_at.data();
  a.target_token = b.target_token.data();
  a.logprob = logprob.data();
  a.ticket = &ticket;
  Call call;
  call.cancel_after = 1;
  EXPECT_EQ(model.table().forward(model.handle(), call, &a), GRPO_STATUS_CANCELLED);
  EXPECT_EQ(ticket, 0u);
  model.commit();  // no ticket is open
}

// A copy of a tiny model that a test may damage.
class Damaged : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "transformer_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    copy("llama_tied");
  }
  void TearDown() override { fs::remove_all(directory_); }

  void copy(const std::string& name) {
    fs::remove_all(directory_);
    fs::copy(models() / name, directory_, fs::copy_options::recursive);
  }
  std::string error() { return open_error({{"path", directory_.string()}}); }
  void edit_config(const std::string& key, const json& value) {
    std::ifstream in(directory_ / "config.json");
    auto config = json::parse(in);
    config[key] = value;
    std::ofstream(directory_ / "config.json") << config;
  }

  fs::path directory_;
};

TEST_F(Damaged, ConfigNamesFileAndKey) {
  EXPECT_EQ(error(), "");
  const auto expect = [&](const char* key, const json& value, const char* what) {
    copy("llama_tied");
    edit_config(key, value);
    EXPECT_THAT(error(), AllOf(HasSubstr("config.json"), HasSubstr(what)));
  };
  expect("model_type", "gpt2", "unknown architecture \"gpt2\"");
  expect("hidden_size", "32", "hidden_size");
  expect("hidden_size", -1, "hidden_size");
  expect("num_attention_heads", nullptr, "\"num_attention_heads\" is missing");
  expect("num_key_value_heads", 3, "num_key_value_heads");
  expect("hidden_act", "gelu", "hidden_act");
  expect("rope_parameters", {{"rope_type", "longrope"}}, "longrope");
  expect("rope_parameters", {{"rope_type", "linear"}}, "factor");
  std::ofstream(directory_ / "config.json") << "{";
  EXPECT_THAT(error(), AllOf(HasSubstr("config.json"), HasSubstr("not JSON")));
  fs::remove(directory_ / "config.json");
  EXPECT_THAT(error(), HasSubstr("config.json"));
  EXPECT_THAT(open_error({{"path", "/no/such/directory"}}), HasSubstr("/no/such/directory"));
  EXPECT_THAT(open_error(json::object()), HasSubstr("path"));
}

TEST_F(Damaged, WeightsNameFileAndTensor) {
  edit_config("intermediate_size", 40);
  EXPECT_THAT(error(), AllOf(HasSubstr("model.safetensors"), HasSubstr("gate_proj.weight"), HasSubstr("[48, 32]"),
                             HasSubstr("[40, 32]")));
  copy("llama_tied");
  edit_config("tie_word_embeddings", false);
  EXPECT_THAT(error(), HasSubstr("\"lm_head.weight\""));
  copy("llama_tied");
  fs::resize_file(directory_ / "model.safetensors", fs::file_size(directory_ / "model.safetensors") - 100);
  EXPECT_THAT(error(), AllOf(HasSubstr("model.safetensors"), HasSubstr("truncated")));
  fs::remove(directory_ / "model.safetensors");
  EXPECT_THAT(error(), HasSubstr("neither model.safetensors nor"));
  copy("qwen3");
  fs::remove(directory_ / "model-00002-of-00002.safetensors");
  EXPECT_THAT(error(), AllOf(HasSubstr("model-00002-of-00002.safetensors"), HasSubstr("missing")));
}

// What a reference model is opened with.
TEST(Frozen, ScoresAlikeKeepsNoGradientsAndRefusesToTrain) {
  auto options = tiny("qwen3_bias");
  Model trained(options);
  options["trainable"] = false;
  Model frozen(options);
  EXPECT_TRUE(trained.info().flags & GRPO_MODEL_TRAIN);
  EXPECT_FALSE(frozen.info().flags & GRPO_MODEL_TRAIN);
  const auto list = frozen.parameters();
  ASSERT_FALSE(list.empty());
  for (std::size_t i = 0; i < list.size(); ++i) {
    EXPECT_TRUE(list[i]->flags & GRPO_PARAMETER_FROZEN) << list[i]->name;
    EXPECT_EQ(list[i]->gradient, nullptr) << list[i]->name;
  }
  EXPECT_EQ(frozen.forward(small_batch()).logprob, trained.forward(small_batch()).logprob);
  const auto refusal = [](const auto& body) -> std::string {
    try {
      body();
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(refusal([&] { frozen.forward(small_batch(), true); }), HasSubstr("trainable: false"));
  EXPECT_THAT(refusal([&] { frozen.backward(1, {1, 1, 1, 1}); }), HasSubstr("trainable: false"));
  EXPECT_THAT(refusal([&] { frozen.zero_grad(); }), HasSubstr("trainable: false"));
}

TEST(Devices, CudaEqualsCpuOrSaysWhyNot) {
  auto options = tiny("qwen3_bias");
  options["device"] = "cuda";
  if (const auto error = open_error(options); !error.empty()) {
    ASSERT_THAT(error, AllOf(HasSubstr("3: "), HasSubstr("device cuda"))) << "the reason is told";
    GTEST_SKIP() << error;
  }
  using Copy = int(void*, const void*, std::size_t, int);
  void* runtime = ::dlopen("libcudart.so.13", RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(runtime, nullptr);
  const auto copy = reinterpret_cast<Copy*>(::dlsym(runtime, "cudaMemcpy"));
  const std::vector<std::int32_t> prompt{3, 1, 4, 1, 5, 9};
  std::vector<float> logprobs[2];
  std::vector<std::vector<float>> gradients[2];
  std::vector<std::int32_t> greedy[2];
  for (const int cuda : {0, 1}) {
    if (!cuda) options.erase("device");
    if (cuda) options["device"] = "cuda";
    Model model(options);
    EXPECT_EQ(model.info().device_type, cuda ? GRPO_DEVICE_CUDA : GRPO_DEVICE_CPU);
    model.zero_grad();
    const auto scores = model.forward(small_batch(), true);
    model.backward(scores.ticket, {1, -1, 0.5f, 2}, {0.1f, 0.2f, -0.3f, 0});
    logprobs[cuda] = scores.logprob;
    const auto list = model.parameters();
    for (std::size_t i = 0; i < list.size(); ++i) {
      const auto& dl = list[i]->gradient->dl;
      std::size_t size = 1;
      for (int d = 0; d < dl.ndim; ++d) size *= static_cast<std::size_t>(dl.shape[d]);
      gradients[cuda].emplace_back(size);
      ASSERT_EQ(copy(gradients[cuda].back().data(), dl.data, size * sizeof(float), 4 /* by address */), 0);
    }
    Session session(model, 2, 100);
    session.prefill({0}, {prompt});
    session.fork(0, {1});
    session.assign({1}, {1}, sampling(0, 20));
    greedy[cuda] = session.run({1}, 8)[0].token;
  }
  for (std::size_t i = 0; i < logprobs[0].size(); ++i) EXPECT_NEAR(logprobs[0][i], logprobs[1][i], 1e-4);
  for (std::size_t i = 0; i < gradients[0].size(); ++i)
    for (std::size_t k = 0; k < gradients[0][i].size(); ++k)
      ASSERT_NEAR(gradients[0][i][k], gradients[1][i][k], 2e-3) << i;
  EXPECT_EQ(greedy[0], greedy[1]);
}

}  // namespace
}  // namespace grpo::test
