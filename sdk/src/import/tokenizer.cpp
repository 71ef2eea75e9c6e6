// tokenizer.json, tokenizer_config.json and chat_template.jinja from the tokenizer's metadata.
#include "convert.hpp"

namespace grpo::import {
namespace {

using Json = nlohmann::ordered_json;

enum TokenType : std::int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}
Json split(const char* regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json digits() { return {{"type", "Digits"}, {"individual_digits", true}}; }
Json sequence(std::initializer_list<Json> steps) {
  Json list = Json::array();
  for (const Json& step : steps) list.push_back(step);
  return {{"type", "Sequence"}, {"pretokenizers", list}};
}

// What tokenizer.ggml.pre stands for.
struct PreTokenizer {
  const char* name;
  Json (*steps)();
  bool nfc = false;            // texts are composed first
  bool ignore_merges = false;  // a word of the vocabulary is taken whole
};

Json gpt2() { return byte_level(true); }
Json smollm() { return sequence({digits(), byte_level(true)}); }
Json llama3() {
  return sequence(
      {split(
           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
       byte_level(false)});
}
Json qwen2() {
  return sequence(
      {split(
           R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
       byte_level(false)});
}
Json tekken() {
  return sequence(
      {split(
           R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"),
       byte_level(false)});
}
Json deepseek_coder() {
  return sequence({split("[\r\n]"), split(R"(\s?\p{L}+)"), split(R"(\s?\p{P}+)"),
                   split("[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), digits(), byte_level(false)});
}
Json deepseek_v3() {
  return sequence(
      {split(R"(\p{N}{1,3})"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
       split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
             "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
       byte_level(false)});
}

constexpr PreTokenizer pre_tokenizers[] = {
    {"gpt-2", gpt2},
    {"smollm", smollm},
    {"llama-bpe", llama3, false, true},
    {"llama3", llama3, false, true},
    {"llama-v3", llama3, false, true},
    {"qwen2", qwen2, true},
    {"deepseek-r1-qwen", qwen2, true},
    {"deepseek-coder", deepseek_coder},
    {"deepseek-v3", deepseek_v3},
    {"tekken", tekken, false, true},
};

const PreTokenizer& pre_tokenizer(const GgufFile& file, const std::string& name) {
  std::string known;
  for (const auto& p : pre_tokenizers) {
    if (p.name == name) return p;
    known.append(known.empty() ? "" : ", ").append(p.name);
  }
  throw file.error("key tokenizer.ggml.pre is " + name + "; known are " + known +
                   ". Use the original model directory: another pre-tokenizer would be another tokenizer");
}

struct Vocabulary {
  const std::vector<std::string_view>& tokens;
  std::vector<std::int64_t> types;
};

Vocabulary vocabulary(const GgufFile& file) {
  const auto& tokens = file.texts("tokenizer.ggml.tokens");
  std::vector<std::int64_t> types(tokens.size(), normal);
  if (file.has("tokenizer.ggml.token_type")) types = file.integers("tokenizer.ggml.token_type");
  if (types.size() != tokens.size())
    throw file.error("key tokenizer.ggml.token_type has " + std::to_string(types.size()) + " entries for " +
                     std::to_string(tokens.size()) + " tokens");
  return {tokens, std::move(types)};
}

// The token with this id, for a key such as tokenizer.ggml.bos_token_id; empty when the file has no such key.
std::string special(const GgufFile& file, const Vocabulary& v, const char* name) {
  const std::string key = std::string("tokenizer.ggml.") + name + "_token_id";
  const std::int64_t id = file.integer(key, -1);
  if (id == -1 || (id == 0xffffffff)) return {};
  if (id < 0 || id >= static_cast<std::int64_t>(v.tokens.size()))
    throw file.error("key " + key + " is " + std::to_string(id) + ", the vocabulary has " +
                     std::to_string(v.tokens.size()) + " tokens");
  return std::string(v.tokens[static_cast<std::size_t>(id)]);
}

bool is_added(std::int64_t type) { return type == unknown || type == control || type == user_defined; }

Json added_token(std::string_view content, std::int64_t type) {
  return {{"content", std::string(content)},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", type != user_defined}};
}

Json bpe_model(const GgufFile& file, const Vocabulary& v, bool ignore_merges) {
  Json ids = Json::object();
  // The json type keeps the order of insertion and looks each key up: go round it, a vocabulary has 150,000.
  auto& members = ids.get_ref<Json::object_t&>();
  members.reserve(v.tokens.size());
  std::map<std::string_view, std::size_t> seen;
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (v.types[i] == unused) continue;  // fills up to a round number
    const auto [before, fresh] = seen.emplace(v.tokens[i], i);
    if (!fresh)
      throw file.error("key tokenizer.ggml.tokens: tokens " + std::to_string(before->second) + " and " +
                       std::to_string(i) + " are the same text");
    members.emplace_back(std::string(v.tokens[i]), i);
  }
  Json merges = Json::array();
  for (std::string_view merge : file.texts("tokenizer.ggml.merges")) {
    if (merge.find(' ', 1) == merge.npos)
      throw file.error("key tokenizer.ggml.merges: entry " + std::to_string(merges.size()) + " is no pair of tokens");
    merges.push_back(std::string(merge));
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", ignore_merges},
          {"vocab", std::move(ids)},
          {"merges", std::move(merges)}};
}

// BOS before and EOS behind, where the file asks for them.
Json post_processor(const GgufFile& file, const std::string& bos, const std::string& eos, bool bos_by_default) {
  const bool first = !bos.empty() && file.boolean("tokenizer.ggml.add_bos_token", bos_by_default);
  const bool last = !eos.empty() && file.boolean("tokenizer.ggml.add_eos_token", false);
  const Json plain = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", false}, {"use_regex", true}};
  if (!first && !last) return plain;
  Json specials = Json::object();
  const auto declare = [&](const std::string& token, const char* name) {
    const auto id = file.integer(std::string("tokenizer.ggml.") + name + "_token_id");
    specials[token] = {{"id", token}, {"ids", Json::array({id})}, {"tokens", Json::array({token})}};
  };
  if (first) declare(bos, "bos");
  if (last) declare(eos, "eos");
  const auto around = [&](std::initializer_list<const char*> texts) {
    Json list = Json::array();
    int type = 0;
    for (const char* text : texts) {
      if (first) list.push_back({{"SpecialToken", {{"id", bos}, {"type_id", type}}}});
      list.push_back({{"Sequence", {{"id", text}, {"type_id", type}}}});
      if (last) list.push_back({{"SpecialToken", {{"id", eos}, {"type_id", type}}}});
      ++type;
    }
    return list;
  };
  const Json around_texts = {{"type", "TemplateProcessing"},
                             {"single", around({"A"})},
                             {"pair", around({"A", "B"})},
                             {"special_tokens", specials}};
  return {{"type", "Sequence"}, {"processors", Json::array({plain, around_texts})}};
}

}  // namespace

std::vector<std::string> pre_tokenizer_names() {
  std::vector<std::string> out;
  for (const auto& p : pre_tokenizers) out.emplace_back(p.name);
  return out;
}

void write_tokenizer(const GgufFile& file, const std::filesystem::path& dir, GgufReport& report) {
  const std::string model = file.text("tokenizer.ggml.model");
  if (model != "gpt2")
    throw file.error("key tokenizer.ggml.model is " + model +
                     ": byte-level BPE (gpt2) is supported. Use the original model directory");
  if (!file.has("tokenizer.ggml.pre"))
    report.notes.push_back(
        "the file does not name its pre-tokenizer: gpt-2 is taken; digits may be cut otherwise than in the original");
  report.pre_tokenizer = file.text("tokenizer.ggml.pre", "gpt-2");
  const PreTokenizer& pre = pre_tokenizer(file, report.pre_tokenizer);
  const Vocabulary v = vocabulary(file);
  report.n_tokens = static_cast<std::int64_t>(v.tokens.size());
  const std::string bos = special(file, v, "bos"), eos = special(file, v, "eos"), unk = special(file, v, "unknown"),
                    pad = special(file, v, "padding");

  Json added = Json::array(), added_decoder = Json::object();
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    if (!is_added(v.types[i])) continue;
    Json token = added_token(v.tokens[i], v.types[i]);
    added_decoder[std::to_string(i)] = token;
    Json with_id = {{"id", i}};
    with_id.update(token);
    added.push_back(with_id);
  }
  write_json(
      dir / "tokenizer.json",
      {{"version", "1.0"},
       {"truncation", nullptr},
       {"padding", nullptr},
       {"added_tokens", added},
       {"normalizer", pre.nfc ? Json{{"type", "NFC"}} : Json(nullptr)},
       {"pre_tokenizer", pre.steps()},
       {"post_processor", post_processor(file, bos, eos, pre.ignore_merges)},
       {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
       {"model", bpe_model(file, v, pre.ignore_merges)}});

  // This class takes tokenizer.json as it stands; a model's own class may build its own steps.
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"model_max_length", file.integer(file.text("general.architecture") + ".context_length")},
                 {"added_tokens_decoder", added_decoder}};
  if (!bos.empty()) config["bos_token"] = bos;
  if (!eos.empty()) config["eos_token"] = eos;
  if (!unk.empty()) config["unk_token"] = unk;
  if (!pad.empty()) config["pad_token"] = pad;
  if (file.has("tokenizer.chat_template")) {
    const std::string chat = file.text("tokenizer.chat_template");
    config["chat_template"] = chat;
    write_text(dir / "chat_template.jinja", chat);
  } else {
    report.notes.push_back("the file holds no chat template");
  }
  write_json(dir / "tokenizer_config.json", config);
}

}  // namespace grpo::import
