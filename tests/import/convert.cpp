// Conversions compared with transformers' reading of the same GGUF, and with the tokenizers library's own writing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <grpo/kit/safetensors.hpp>
#include <grpo/sdk/import/gguf.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "scratch.hpp"

namespace {
using grpo::import::import_gguf;
using import_test::read;
using import_test::Scratch;
using nlohmann::json;
namespace kit = grpo::kit;

std::string fnv(const void* data, std::size_t size) {
  std::uint64_t h = 14695981039346656037u;
  for (std::size_t i = 0; i < size; ++i) h = (h ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h));
  return text;
}

std::string tiny(const std::string& name) { return GRPO_TEST_DATA "/" + name + ".gguf"; }

class Convert : public testing::TestWithParam<const char*> {
 protected:
  json expected_ = json::parse(read(GRPO_TEST_DATA "/expected.json"))[GetParam()];
  Scratch scratch_;
};

TEST_P(Convert, WeightsAreThoseOfTransformersToTheBit) {
  const auto report = import_gguf(tiny(GetParam()), scratch_ / "out");
  const kit::Checkpoint checkpoint(scratch_ / "out");
  EXPECT_EQ(checkpoint.names().size(), expected_["weights"].size());
  EXPECT_EQ(report.n_tensors, static_cast<std::int64_t>(expected_["weights"].size()));
  std::int64_t elements = 0;
  for (const auto& [name, want] : expected_["weights"].items()) {
    const auto& t = checkpoint.at(name);
    EXPECT_EQ(t.dtype, kit::Dtype::f32);
    EXPECT_EQ(t.shape, want["shape"].get<std::vector<std::int64_t>>()) << name;
    float first[2];
    std::memcpy(first, t.data, sizeof first);
    EXPECT_EQ(first[0], want["first"][0].get<float>()) << name;
    EXPECT_EQ(first[1], want["first"][1].get<float>()) << name;
    EXPECT_EQ(fnv(t.data, t.bytes), want["fnv"]) << name;
    elements += t.elements();
  }
  EXPECT_EQ(report.n_parameters, elements);
  EXPECT_EQ(scratch_.entries(), 1u) << "nothing but the directory";
}

TEST_P(Convert, NarrowTypesAreRoundedToNearest) {
  import_gguf(tiny(GetParam()), scratch_ / "wide");
  import_gguf(tiny(GetParam()), scratch_ / "bf16", {.dtype = "bfloat16", .overwrite = false, .progress = nullptr});
  import_gguf(tiny(GetParam()), scratch_ / "f16", {.dtype = "float16", .overwrite = false, .progress = nullptr});
  const kit::Checkpoint wide(scratch_ / "wide"), bf16(scratch_ / "bf16"), f16(scratch_ / "f16");
  for (const auto& name : wide.names()) {
    const auto n = static_cast<std::size_t>(wide.at(name).elements());
    std::vector<float> w(n), b(n), h(n);
    kit::to_float(wide.at(name), w.data());
    kit::to_float(bf16.at(name), b.data());
    kit::to_float(f16.at(name), h.data());
    EXPECT_EQ(bf16.at(name).dtype, kit::Dtype::bf16);
    EXPECT_EQ(f16.at(name).dtype, kit::Dtype::f16);
    for (std::size_t i = 0; i < n; ++i) {
      const float size = std::abs(w[i]);
      EXPECT_LE(std::abs(b[i] - w[i]), size * 0x1p-8f) << name;
      EXPECT_LE(std::abs(h[i] - w[i]), std::max(size * 0x1p-11f, 0x1p-25f)) << name;
    }
  }
  EXPECT_EQ(json::parse(read(scratch_ / "f16" / "config.json"))["dtype"], "float16");
}

TEST_P(Convert, TokenizerIsThatOfTheTokenizersLibrary) {
  import_gguf(tiny(GetParam()), scratch_ / "out");
  json ours = json::parse(read(scratch_ / "out" / "tokenizer.json")), theirs = expected_["tokenizer"];
  for (json* t : {&ours, &theirs})  // both spellings of a merge are in use
    for (auto& merge : (*t)["model"]["merges"])
      if (merge.is_array()) merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  for (const char* part : {"added_tokens", "normalizer", "model"}) EXPECT_EQ(ours[part], theirs[part]) << part;
  // Flags that have no effect on ids are written differently: compare the kinds and what they do.
  const auto steps = [](const json& t) {
    json out = json::array();
    for (json step : t["pre_tokenizer"].contains("pretokenizers") ? t["pre_tokenizer"]["pretokenizers"]
                                                                  : json::array({t["pre_tokenizer"]})) {
      step.erase("trim_offsets");
      out.push_back(step);
    }
    return out;
  };
  EXPECT_EQ(steps(ours), steps(theirs));
  EXPECT_EQ(ours["decoder"]["type"], theirs["decoder"]["type"]);
  EXPECT_EQ(ours["post_processor"]["type"], theirs["post_processor"]["type"]);
  if (ours["post_processor"]["type"] == "Sequence") {
    const json &a = ours["post_processor"]["processors"][1], &b = theirs["post_processor"]["processors"][1];
    EXPECT_EQ(a["single"], b["single"]);
    EXPECT_EQ(a["pair"], b["pair"]);
    EXPECT_EQ(a["special_tokens"], b["special_tokens"]);
  }
}

TEST_P(Convert, ConfigurationReadsInBothStyles) {
  const auto report = import_gguf(tiny(GetParam()), scratch_ / "out");
  const json c = json::parse(read(scratch_ / "out" / "config.json"));
  const bool llama3 = GetParam() == std::string("llama3"), qwen2 = GetParam() == std::string("qwen2");
  EXPECT_EQ(c["architectures"][0], qwen2 ? "Qwen2ForCausalLM" : "LlamaForCausalLM");
  EXPECT_EQ(c["hidden_size"], 32);
  EXPECT_EQ(c["head_dim"], 16);
  EXPECT_EQ(c["num_key_value_heads"], 1);
  EXPECT_EQ(c["rms_norm_eps"], 1e-5) << "not 9.99999974e-06";
  EXPECT_EQ(c["rope_theta"], llama3 ? 500000.0 : 10000.0);
  EXPECT_EQ(c["rope_parameters"]["rope_theta"], c["rope_theta"]);
  EXPECT_EQ(c["rope_parameters"]["rope_type"], llama3 ? "llama3" : "default");
  EXPECT_EQ(c["rope_scaling"].is_null(), !llama3);
  EXPECT_TRUE(!llama3 || c["rope_scaling"]["factor"] == 8.0);
  EXPECT_EQ(c["tie_word_embeddings"], !llama3);
  EXPECT_EQ(c["dtype"], c["torch_dtype"]);
  const json tokens = json::parse(read(scratch_ / "out" / "tokenizer_config.json"));
  EXPECT_EQ(tokens["eos_token"], "<|end|>");
  EXPECT_EQ(tokens["chat_template"], read(scratch_ / "out" / "chat_template.jinja"));
  EXPECT_EQ(json::parse(read(scratch_ / "out" / "generation_config.json"))["eos_token_id"], c["eos_token_id"]);
  EXPECT_EQ(report.architecture, qwen2 ? "qwen2" : "llama");
}

INSTANTIATE_TEST_SUITE_P(All, Convert, testing::Values("llama", "llama3", "qwen2"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
