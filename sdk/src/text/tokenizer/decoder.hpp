// decoder.hpp: the "decoder" of a tokenizer.json: from the spelling of tokens back to text.
//
// A decoder is a chain of stages. A run of it is fed a token at a time and gives out text as soon as no later token can
// change it, so that decoding a list and decoding a stream are the same code.
#ifndef GRPO_SRC_TEXT_TOKENIZER_DECODER_HPP
#define GRPO_SRC_TEXT_TOKENIZER_DECODER_HPP

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "field.hpp"
#include "pattern.hpp"

namespace grpo::text {

struct JoinWithSpaces {};  // what no decoder at all means
struct ByteLevelDecoder {};
struct ByteFallbackDecoder {};
struct FuseDecoder {};
struct ReplaceDecoder {
  Pattern pattern;
  std::string content;
};
struct StripDecoder {
  char32_t content;
  std::size_t start, stop;  // how many characters to take off at most
};
struct MetaspaceDecoder {
  char32_t replacement;
  bool drops_first;  // of the first token, as one was put there
};
using DecoderStage = std::variant<JoinWithSpaces, ByteLevelDecoder, ByteFallbackDecoder, FuseDecoder, ReplaceDecoder,
                                  StripDecoder, MetaspaceDecoder>;

class DecoderRun;

class Decoder {
 public:
  static Decoder read(const std::optional<Field>& field);

  // `raw`: bytes that make no character stay as they are, instead of becoming U+FFFD.
  // The run refers to this decoder.
  DecoderRun start(bool raw) const;

 private:
  void add(const Field& field);
  std::vector<DecoderStage> stages_;
};

// A stage at work: takes pieces, passes text on. See decoder.cpp.
class DecoderWorker {
 public:
  virtual ~DecoderWorker() = default;
  virtual void push(std::string_view piece) = 0;
  virtual void finish() = 0;
};

class DecoderRun {
 public:
  explicit DecoderRun(std::unique_ptr<DecoderWorker> first, std::unique_ptr<std::string> out)
      : out_(std::move(out)), first_(std::move(first)) {}

  void push(std::string_view token) { first_->push(token); }
  void finish() { first_->finish(); }
  // The text since the last call.
  std::string take() {
    std::string text = std::move(*out_);
    out_->clear();
    return text;
  }

 private:
  std::unique_ptr<std::string> out_;  // where the last worker writes
  std::unique_ptr<DecoderWorker> first_;
};

}  // namespace grpo::text

#endif
