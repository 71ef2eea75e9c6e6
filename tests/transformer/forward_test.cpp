// Values and gradients against transformers (golden.json beside each model), and forests against flattened paths.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "support.hpp"

namespace grpo::test {
namespace {

using nlohmann::json;

double norm(const std::vector<float>& x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  return std::sqrt(sum);
}

// Of the kernels, or of what multiplies for them.
json options_of(const std::string& model, const std::string& kind) {
  const bool library = kind == "libtorch" || kind == "onednn";
  return {{"path", (models() / model).string()}, {library ? "matmul" : "kernels", kind}};
}

// model, kind
class Golden : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  Golden()
      : golden_(golden(std::get<0>(GetParam()))), model_(options_of(std::get<0>(GetParam()), std::get<1>(GetParam()))) {
    batch_.temperature = golden_["temperature"];
    for (std::size_t i = 0; i < golden_["ids"].size(); ++i) {
      batch_.add_scored(golden_["ids"][i]);
      for (const auto* key : {"logprobs", "entropies", "weights_a", "weights_b"}) {
        const auto values = golden_[key][i].get<std::vector<float>>();
        auto& all = expected_[key];
        all.insert(all.end(), values.begin(), values.end());
      }
    }
  }

  json golden_;
  Model model_;
  Batch batch_;
  std::map<std::string, std::vector<float>> expected_;
};

TEST_P(Golden, ForwardEqualsTransformers) {
  const auto scores = model_.forward(batch_);
  ASSERT_EQ(scores.logprob.size(), expected_["logprobs"].size());
  ASSERT_GT(scores.logprob.size(), 60u);
  for (std::size_t i = 0; i < scores.logprob.size(); ++i) {
    ASSERT_NEAR(scores.logprob[i], expected_["logprobs"][i], 2e-4) << i;
    ASSERT_NEAR(scores.entropy[i], expected_["entropies"][i], 2e-4) << i;
  }
}

TEST_P(Golden, GradientsEqualAutograd) {
  model_.zero_grad();
  const auto scores = model_.forward(batch_, true);
  model_.backward(scores.ticket, expected_["weights_a"], expected_["weights_b"]);
  const auto gradients = model_.gradients();
  EXPECT_EQ(gradients.size(), golden_["gradients"].size());
  for (const auto& [name, expected] : golden_["gradients"].items()) {
    ASSERT_TRUE(gradients.count(name)) << name;
    const auto& gradient = gradients.at(name);
    const double size = expected["norm"];
    ASSERT_NEAR(norm(gradient), size, 2e-4 * size + 1e-6) << name;
    for (std::size_t i = 0; i < expected["at"].size(); ++i)
      ASSERT_NEAR(gradient.at(expected["at"][i]), expected["values"][i].get<double>(), 2e-4 * size + 1e-6)
          << name << " at " << expected["at"][i];
  }
}

std::string readable(const testing::TestParamInfo<Golden::ParamType>& info) {
  return std::get<0>(info.param) + "_" + std::get<1>(info.param);
}

INSTANTIATE_TEST_SUITE_P(Models, Golden,
                         testing::Combine(testing::ValuesIn(model_names()),
                                          testing::Values("auto", "portable", "libtorch", "onednn")),
                         readable);

// A forest of several levels, and the same paths one by one.
class Forest : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Forest, EqualsFlattenedPathsInValueAndGradient) {
  const json options{{"path", (models() / std::get<0>(GetParam())).string()},
                     {"kernels", std::get<1>(GetParam())},
                     {"logits_chunk", 7}};
  std::mt19937 random(3);
  const auto tokens = [&](std::size_t n) {
    std::vector<std::int32_t> out(n);
    for (auto& t : out) t = static_cast<std::int32_t>(random() % 128);
    return out;
  };
  // parents and lengths: two roots, three levels, children not next to their parents
  const std::vector<std::int64_t> parents{-1, -1, 0, 0, 1, 2, 2, 5, 0};
  const std::vector<std::size_t> sizes{9, 3, 5, 1, 11, 4, 6, 3, 2};
  Batch forest;
  std::vector<std::vector<std::int32_t>> nodes;
  for (std::size_t i = 0; i < parents.size(); ++i) {
    nodes.push_back(tokens(sizes[i]));
    forest.add(parents[i], nodes[i]);
  }
  Batch flat;
  std::vector<float> a, b;
  for (std::size_t i = 0; i < parents.size(); ++i) {
    // The node's own tokens are scored, each from the token before it on its path; the path alone is the flat version.
    std::vector<std::int32_t> path;
    for (auto up = static_cast<std::int64_t>(i); up >= 0; up = parents[static_cast<std::size_t>(up)]) {
      const auto& part = nodes[static_cast<std::size_t>(up)];
      path.insert(path.begin(), part.begin(), part.end());
    }
    const auto flat_begin = static_cast<std::int64_t>(flat.token.size());
    flat.add(-1, path);
    for (std::size_t t = 0; t < sizes[i]; ++t) {
      const auto in_path = static_cast<std::int64_t>(path.size() - sizes[i] + t);
      if (in_path == 0) continue;  // nothing predicts the first token of all
      const auto parent = parents[i];
      const std::int64_t at = t > 0 ? forest.node_start[i] + static_cast<std::int64_t>(t) - 1
                                    : forest.node_start[static_cast<std::size_t>(parent) + 1] - 1;
      forest.score(at, nodes[i][t]);
      flat.score(flat_begin + in_path - 1, nodes[i][t]);
      a.push_back(static_cast<float>(random() % 1000) / 500 - 1);
      b.push_back(static_cast<float>(random() % 1000) / 1000 - 0.5f);
    }
  }
  forest.temperature = flat.temperature = 1.3;
  Model model(options);
  const auto run = [&](const Batch& batch) {
    model.zero_grad();
    const auto scores = model.forward(batch, true);
    const auto plain = model.forward(batch);
    EXPECT_EQ(scores.logprob, plain.logprob) << "training changes the values";
    model.backward(scores.ticket, a, b);
    return std::pair{scores, model.gradients()};
  };
  const auto [shared, shared_gradients] = run(forest);
  const auto [apart, apart_gradients] = run(flat);
  ASSERT_GT(shared.logprob.size(), 40u);
  for (std::size_t i = 0; i < shared.logprob.size(); ++i) {
    ASSERT_NEAR(shared.logprob[i], apart.logprob[i], 2e-5) << i;
    ASSERT_NEAR(shared.entropy[i], apart.entropy[i], 2e-5) << i;
  }
  for (const auto& [name, gradient] : shared_gradients) {
    const auto& other = apart_gradients.at(name);
    const double size = norm(gradient);
    ASSERT_GT(size, 0) << name;
    for (std::size_t i = 0; i < gradient.size(); ++i) ASSERT_NEAR(gradient[i], other[i], 3e-5 * size + 1e-6) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Forest,
                         testing::Combine(testing::Values("llama_tied", "qwen2_window", "qwen3", "mistral_window"),
                                          testing::Values("auto", "portable")),
                         readable);

TEST(Gradient, AddsOverMicroBatches) {
  const auto golden_values = golden("llama_bias");
  Model model(json{{"path", (models() / "llama_bias").string()}});
  Batch whole;
  std::vector<Batch> parts(golden_values["ids"].size());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    whole.add_scored(golden_values["ids"][i]);
    parts[i].add_scored(golden_values["ids"][i]);
  }
  model.zero_grad();
  const auto all = model.forward(whole, true);
  model.backward(all.ticket, std::vector<float>(all.logprob.size(), 1.0f));
  const auto expected = model.gradients();
  model.zero_grad();
  std::vector<Scores> scores;
  for (const auto& part : parts) scores.push_back(model.forward(part, true));  // several tickets are open
  for (const std::size_t i : {1u, 0u, 2u})
    model.backward(scores[i].ticket, std::vector<float>(scores[i].logprob.size(), 1.0f));
  for (const auto& [name, gradient] : model.gradients()) {
    const auto& other = expected.at(name);
    for (std::size_t i = 0; i < gradient.size(); ++i)
      ASSERT_NEAR(gradient[i], other[i], 1e-5 * norm(other) + 1e-6) << name;
  }
}

TEST(Bfloat16, StaysNearFloat32) {
  Batch batch;
  batch.add_scored(golden("llama_tied")["ids"][2]);
  Model wide(json{{"path", (models() / "llama_tied").string()}});
  Model narrow(json{{"path", (models() / "llama_tied").string()}, {"dtype", "bfloat16"}});
  std::map<std::string, std::vector<float>> gradients[2];
  std::vector<float> logprobs[2];
  int i = 0;
  for (auto* model : {&wide, &narrow}) {
    model->zero_grad();
    const auto scores = model->forward(batch, true);
    model->backward(scores.ticket, std::vector<float>(scores.logprob.size(), 1.0f));
    gradients[i] = model->gradients();
    logprobs[i++] = scores.logprob;
  }
  double worst = 0;
  for (std::size_t t = 0; t < logprobs[0].size(); ++t)
    worst = std::max<double>(worst, std::abs(logprobs[0][t] - logprobs[1][t]));
  EXPECT_LT(worst, 0.3);
  EXPECT_GT(worst, 0) << "bfloat16 is not used";
  for (const auto& [name, gradient] : gradients[0]) {
    double product = 0;
    for (std::size_t k = 0; k < gradient.size(); ++k)
      product += static_cast<double>(gradient[k]) * gradients[1][name][k];
    EXPECT_GT(product / (norm(gradient) * norm(gradients[1][name])), 0.98) << name;
  }
}

// On a GPU in bf16, where flash attention takes over, against plain operations there.
TEST(ForwardCuda, FlashAttentionEqualsPlain) {
  for (const auto* name : {"qwen3", "mistral_window", "llama_head_dim"}) {
    nlohmann::json options{{"path", (models() / name).string()}, {"device", "cuda"}, {"dtype", "bfloat16"}};
    if (const auto error = open_error(options); !error.empty()) GTEST_SKIP() << error;
    Batch batch;
    std::vector<std::int32_t> prompt, completion;
    for (int i = 0; i < 40; ++i) prompt.push_back(i * 7 % 128);
    for (int i = 0; i < 30; ++i) completion.push_back(i * 11 % 128);
    batch.add(-1, prompt);
    for (int g = 0; g < 3; ++g) {
      completion[0] = g;
      const auto node = static_cast<std::size_t>(batch.add(0, completion));
      const auto begin = batch.node_start[node];
      batch.score(39, completion[0]);
      for (std::int64_t i = 1; i < 30; ++i) batch.score(begin + i - 1, completion[static_cast<std::size_t>(i)]);
    }
    Scores scores[2];
    for (const bool plain : {false, true}) {
      options["kernels"] = plain ? "portable" : "auto";
      Model model(options);
      scores[plain] = model.forward(batch, true);
      model.backward(scores[plain].ticket, std::vector<float>(batch.target_at.size(), 0.1f));
    }
    for (std::size_t i = 0; i < scores[0].logprob.size(); ++i)
      ASSERT_NEAR(scores[0].logprob[i], scores[1].logprob[i], 0.1) << name << " " << i;
  }
}

}  // namespace
}  // namespace grpo::test
