#include "added_tokens.hpp"

#include "unicode.hpp"

namespace grpo::text {

void AddedTokenFinder::add(const AddedToken& token, std::string_view spelling) {
  if (spelling.empty()) return;
  std::size_t node = 0;
  for (const char c : spelling) {
    const auto byte = static_cast<unsigned char>(c);
    const auto found = nodes_[node].next.find(byte);
    if (found != nodes_[node].next.end()) {
      node = static_cast<std::size_t>(found->second);
    } else {
      nodes_[node].next.emplace(byte, static_cast<int32_t>(nodes_.size()));
      node = nodes_.size();
      nodes_.emplace_back();
    }
  }
  starts_[static_cast<unsigned char>(spelling[0])] = true;
  if (nodes_[node].token < 0) {  // of two tokens that normalise to the same text, the first
    nodes_[node].token = static_cast<int32_t>(tokens_.size());
    tokens_.push_back(token);
  }
}

int32_t AddedTokenFinder::longest(std::string_view text, std::size_t at, std::size_t& end) const {
  int32_t best = -1;
  std::size_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const auto next = nodes_[node].next.find(static_cast<unsigned char>(text[i]));
    if (next == nodes_[node].next.end()) break;
    node = static_cast<std::size_t>(next->second);
    if (nodes_[node].token >= 0) {
      best = nodes_[node].token;
      end = i + 1;
    }
  }
  return best;
}

namespace {

bool touches_word(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t before = begin, after = end;
  return (begin > 0 && is_word(previous_character(text, before))) ||
         (end < text.size() && is_word(next_character(text, after)));
}

std::size_t white_space_begin(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  for (std::size_t next = end; next > 0 && is_white_space(previous_character(text, next));) begin = next;
  return begin;
}

std::size_t white_space_end(std::string_view text, std::size_t begin) {
  std::size_t end = begin;
  for (std::size_t next = begin; next < text.size() && is_white_space(next_character(text, next));) end = next;
  return end;
}

}  // namespace

std::vector<Stretch> AddedTokenFinder::split(std::string_view text, bool plain_special) const {
  std::vector<Stretch> stretches;
  std::size_t covered = 0;
  for (std::size_t at = 0; !tokens_.empty() && at < text.size();) {
    std::size_t match_end = 0;
    int32_t index = -1;
    if (starts_[static_cast<unsigned char>(text[at])]) index = longest(text, at, match_end);
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(index)];
    std::size_t begin = at, end = match_end;
    at = match_end;  // also when the match does not count: no shorter token is tried inside it
    if (plain_special && token.special) continue;
    if (token.single_word && touches_word(text, begin, end)) continue;
    if (token.lstrip) begin = std::max(white_space_begin(text, begin), covered);
    if (token.rstrip) end = white_space_end(text, end);
    if (covered < begin) stretches.push_back({-1, covered, begin});
    stretches.push_back({token.id, begin, end});
    covered = end;
  }
  if (covered < text.size()) stretches.push_back({-1, covered, text.size()});
  return stretches;
}

}  // namespace grpo::text
