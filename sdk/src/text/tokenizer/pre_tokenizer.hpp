// pre_tokenizer.hpp: the "pre_tokenizer" of a tokenizer.json: cuts text into the pieces that become tokens one by one.
#ifndef GRPO_SRC_TEXT_TOKENIZER_PRE_TOKENIZER_HPP
#define GRPO_SRC_TEXT_TOKENIZER_PRE_TOKENIZER_HPP

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "field.hpp"

namespace grpo::text {

// Text and where to cut it. Pieces are not empty, in order, and together cover what has not been removed.
struct Pieces {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> ranges;  // begin and end, in bytes
  bool at_start = true;                                     // the first piece opens the whole input

  std::string_view operator[](std::size_t i) const {
    return std::string_view(text).substr(ranges[i].first, ranges[i].second - ranges[i].first);
  }
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual void apply(Pieces& pieces) const = 0;
};

class PreTokenizer {
 public:
  static PreTokenizer read(const std::optional<Field>& field);

  // The pieces of `text`; at_start tells whether `text` opens the input.
  Pieces apply(std::string text, bool at_start) const;

  // True if the last step spells bytes as visible characters. apply() leaves that to the model, which works on bytes.
  bool ends_in_bytes() const { return ends_in_bytes_; }

 private:
  void add(const Field& field);
  void add_byte_level(const Field& field);
  void spell_pending_bytes();
  std::vector<std::shared_ptr<const PreTokenizerStep>> steps_;
  bool ends_in_bytes_ = false;
};

}  // namespace grpo::text

#endif
