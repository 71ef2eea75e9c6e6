// added_tokens.hpp: the tokens that are looked for in the text itself, before anything else happens to it.
#ifndef GRPO_SRC_TEXT_TOKENIZER_ADDED_TOKENS_HPP
#define GRPO_SRC_TEXT_TOKENIZER_ADDED_TOKENS_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace grpo::text {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space in front along
  bool rstrip = false;
  bool normalized = false;  // looked for in normalised text
};

// A stretch of text: a token, or (id -1) text between tokens.
struct Stretch {
  int32_t id;
  std::size_t begin, end;  // bytes
};

// Finds a set of tokens in text: at every place the longest, from left to right.
class AddedTokenFinder {
 public:
  // `spelling` is what to look for: the content, or its normalised form.
  void add(const AddedToken& token, std::string_view spelling);
  bool empty() const { return tokens_.empty(); }

  // Cuts `text` up; stretches cover it in order. With `plain_special`, special tokens are text.
  std::vector<Stretch> split(std::string_view text, bool plain_special) const;

 private:
  struct Node {
    int32_t token = -1;  // index in tokens_
    std::unordered_map<unsigned char, int32_t> next;
  };
  // The longest token that starts at `at`: index and end. -1 for none.
  int32_t longest(std::string_view text, std::size_t at, std::size_t& end) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);
  bool starts_[256] = {};
};

}  // namespace grpo::text

#endif
