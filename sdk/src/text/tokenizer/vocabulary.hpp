// vocabulary.hpp: tokens and their ids, both ways.
#ifndef GRPO_SRC_TEXT_TOKENIZER_VOCABULARY_HPP
#define GRPO_SRC_TEXT_TOKENIZER_VOCABULARY_HPP

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace grpo::text {

class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(const Vocabulary&) = delete;  // the views point into it
  Vocabulary& operator=(const Vocabulary&) = delete;

  void reserve(std::size_t tokens) { ids_.reserve(tokens); }

  // False if the token or the id is taken.
  bool add(std::string_view token, int32_t id) {
    const auto index = static_cast<std::size_t>(id);
    if (index < tokens_.size() && tokens_[index].data()) return false;
    if (ids_.find(token) != ids_.end()) return false;
    const std::string& stored = text_.emplace_back(token);
    ids_.emplace(stored, id);
    if (index >= tokens_.size()) tokens_.resize(index + 1);
    tokens_[index] = stored;
    return true;
  }

  std::optional<int32_t> id(std::string_view token) const {
    const auto found = ids_.find(token);
    if (found == ids_.end()) return std::nullopt;
    return found->second;
  }

  // Nothing for an id without a token.
  std::optional<std::string_view> token(int32_t id) const {
    if (id < 0 || static_cast<std::size_t>(id) >= tokens_.size()) return std::nullopt;
    const std::string_view token = tokens_[static_cast<std::size_t>(id)];
    if (!token.data()) return std::nullopt;
    return token;
  }

  std::size_t size() const { return tokens_.size(); }  // highest id + 1
  std::size_t count() const { return ids_.size(); }

 private:
  std::deque<std::string> text_;
  std::unordered_map<std::string_view, int32_t> ids_;
  std::vector<std::string_view> tokens_;  // by id
};

}  // namespace grpo::text

#endif
