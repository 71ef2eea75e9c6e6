// tokenizer.hpp: text to token ids and back, from a Hugging Face tokenizer.json, with the ids that `tokenizers` gives.
//
// A tokenizer.json describes a pipeline: added tokens are cut out of the text, the rest is normalised, split into
// pieces by the pre-tokenizer, each piece becomes tokens of a BPE model, and a post-processor may add tokens at the
// ends. All parts that BPE models in use need are here; a part that is not makes load() fail, naming the file, the
// field and the type, because a tokenizer that is nearly right trains a model on the wrong numbers.
// The fields "truncation" and "padding" are not followed (transformers does not either): lengths are the caller's
// choice. Nor are add_bos_token and add_eos_token of tokenizer_config.json: beside a tokenizer.json, transformers 5
// drops them, and the post-processor alone says what is put around a text.
//
//   auto tokenizer = grpo::text::Tokenizer::load("models/SmolLM2-135M-Instruct");
//   std::vector<int32_t> ids = tokenizer.encode("Hello <|im_end|>", /*add_special_tokens=*/false);
//   std::string text = tokenizer.decode(ids, /*skip_special_tokens=*/true);
//
//   grpo::text::StreamDecoder stream(tokenizer, /*skip_special_tokens=*/true);
//   for (int32_t id : generated) std::cout << stream.push(id);   // always whole UTF-8 sequences
//   std::cout << stream.finish();
//
// Format: the `tokenizers` library of Hugging Face, whose release 0.23 the tests compare with.
#ifndef GRPO_SDK_TEXT_TOKENIZER_HPP
#define GRPO_SDK_TEXT_TOKENIZER_HPP

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::text {

// Immutable once loaded and cheap to copy (copies share the tables). Every const member may be called from any thread
// at the same time. Ids are those of the file; nothing is renumbered.
class Tokenizer {
 public:
  // From a model's directory, or from a tokenizer.json itself. Files beside it are read when they are there:
  // tokenizer_config.json and special_tokens_map.json (the names of the bos, eos and pad tokens), config.json and
  // generation_config.json (their ids; the last wins, and may list several eos ids).
  // Throws grpo::Error that names the file and the field, for a file that is missing, is not JSON, contradicts itself
  // (a merge of unknown tokens, two tokens with one id, ...) or asks for a part that is not supported.
  static Tokenizer load(const std::filesystem::path& directory_or_file);

  // From the text of a tokenizer.json; `name` stands for the file in errors. bos, eos and pad are then not known.
  static Tokenizer from_json(std::string_view json, std::string name);

  // --- text to ids

  // Ids of `text`, which is UTF-8; a byte sequence that is not valid UTF-8 is read as U+FFFD, as Python's
  // decode(errors="replace") does. Added tokens that stand in the text (<|im_end|>, <think>) become their ids, as in
  // HF. add_special_tokens runs the post-processor (BOS for Llama, nothing for Qwen).
  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = false) const;

  // The same, but the added tokens marked special are plain text: for text that comes from users or data sets and must
  // not be able to end a turn. Added tokens that are not special are still recognised. (HF: encode_special_tokens.)
  std::vector<int32_t> encode_plain(std::string_view text, bool add_special_tokens = false) const;

  // --- ids to text

  // Text of `ids` as valid UTF-8: bytes that make no character become U+FFFD. skip_special_tokens leaves out the added
  // tokens marked special (all of them: HF 0.23 overlooks those that normalisation changes). An id that has no token
  // adds nothing, as in HF.
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  // The same before U+FFFD replaces anything: the bytes themselves, which may end inside a character.
  std::string decode_bytes(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

  // --- the vocabulary

  // Rows an embedding needs at least: the highest id + 1, added tokens included.
  std::size_t vocabulary_size() const;
  // Number of different tokens, added ones included; smaller than vocabulary_size() where ids have gaps.
  std::size_t token_count() const;
  // The id of a token as the file spells it ("Ġthe", "<|im_end|>"), if there is one.
  std::optional<int32_t> id(std::string_view token) const;
  // The spelling of an id; nothing when the id has no token. Valid as long as this tokenizer or a copy of it.
  std::optional<std::string_view> token(int32_t id) const;
  // True for an added token that is marked special.
  bool is_special(int32_t id) const;

  // --- the ends of a text

  std::optional<int32_t> bos_id() const;
  // The first of eos_ids().
  std::optional<int32_t> eos_id() const;
  // Every id that ends a generation, each once: generation_config.json's list, else config.json's, else the eos token.
  const std::vector<int32_t>& eos_ids() const;
  std::optional<int32_t> pad_id() const;

  // The name that errors use: the path of the file, or what from_json was given.
  const std::string& name() const;

  struct Impl;

 private:
  friend class StreamDecoder;
  explicit Tokenizer(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
};

// Decodes a token at a time. What the pushes and finish() return, put together, is exactly decode() of all the ids;
// each piece is whole UTF-8 characters. A character whose bytes are spread over tokens comes out with its last byte.
// One thread at a time; holds on to the tokenizer's tables.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = false);
  ~StreamDecoder();
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;

  // The text that this id completes; empty while a character is open.
  std::string push(int32_t id);
  // What was still open (U+FFFD for an unfinished character). The decoder then starts afresh.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::text

#endif
