// implementation.hpp: the tables behind a Tokenizer, and how they are filled.
#ifndef GRPO_SRC_TEXT_TOKENIZER_IMPLEMENTATION_HPP
#define GRPO_SRC_TEXT_TOKENIZER_IMPLEMENTATION_HPP

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "added_tokens.hpp"
#include "bpe.hpp"
#include "decoder.hpp"
#include "grpo/sdk/text/tokenizer.hpp"
#include "normalizer.hpp"
#include "post_processor.hpp"
#include "pre_tokenizer.hpp"
#include "vocabulary.hpp"

namespace grpo::text {

struct Tokenizer::Impl {
  std::string name;
  Vocabulary vocabulary;  // added tokens included
  std::unordered_set<int32_t> special;
  // Added tokens that are looked for in normalised text also decode to it, where that differs: so does the original.
  std::unordered_map<int32_t, std::string> normalized_spellings;
  AddedTokenFinder raw_tokens;         // looked for in the text as it is
  AddedTokenFinder normalized_tokens;  // looked for once it is normalised
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::optional<Bpe> model;
  PostProcessor post_processor;
  Decoder decoder;
  std::optional<int32_t> bos, eos, pad;
  std::vector<int32_t> eos_all;

  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens, bool plain_special) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens, bool raw) const;
  // What of `id` reaches the decoder.
  std::optional<std::string_view> spelling(int32_t id, bool skip_special_tokens) const;
};

// From the text of a tokenizer.json.
std::unique_ptr<Tokenizer::Impl> read_tokenizer(std::string_view json, std::string name);
// bos, eos and pad from the files of a model's directory.
void read_special_ids(const std::filesystem::path& directory, Tokenizer::Impl& tokenizer);
// A whole file; throws grpo::Error.
std::string read_file(const std::filesystem::path& path);
nlohmann::json parse_json(std::string_view text, const std::string& name);

}  // namespace grpo::text

#endif
