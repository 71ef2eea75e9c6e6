// rewards/tags: is each tag there, exactly once? A gentle slope towards a form, as TRL's XML count reward.
//
// Of n tags, <tag> and </tag> give 1/(2n) each when they occur exactly once. With `in_order` an end before its start,
// or a tag before the one listed ahead of it, gives nothing.
#include <cstddef>
#include <grpo/reward.hpp>
#include <stdexcept>
#include <string>
#include <vector>

GRPO_MANIFEST({
  "name": "reward_tags", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "tags", "options": {
    "tags": {"type": "string", "default": "reasoning,answer", "description": "names, separated by commas, in their order"},
    "in_order": {"type": "boolean", "default": true, "description": "a mark in the wrong place gives nothing"},
    "trailing_penalty": {"type": "number", "default": 0, "minimum": 0,
      "description": "taken off for each character after the last closing tag, white space aside; 0.001 in TRL's examples"}}}]
});

namespace {

struct tags {
  explicit tags(grpo::options o)
      : in_order(o.boolean("in_order", true)), trailing_penalty(o.number("trailing_penalty", 0)) {
    std::string name;
    for (char c : std::string(o.text("tags", "reasoning,answer")) + ",") {
      if (c == ',') {
        if (name.empty())
          throw std::invalid_argument("option tags has an empty name: write them like reasoning,answer");
        marks.push_back("<" + name + ">");
        marks.push_back("</" + name + ">");
        name.clear();
      } else if (c == '<' || c == '>' || c == '/') {
        throw std::invalid_argument("option tags takes names without brackets, like reasoning,answer");
      } else if (c != ' ') {
        name += c;
      }
    }
  }

  grpo::score operator()(const grpo::sample& s) const {
    const std::string_view text = s.completion();
    std::size_t right = 0, end = 0;
    for (const std::string& mark : marks) {
      const std::size_t at = text.find(mark);
      if (at == text.npos || text.find(mark, at + 1) != text.npos) continue;
      if (in_order && at < end) continue;
      end = at + mark.size();
      ++right;
    }
    const double share = static_cast<double>(right) / static_cast<double>(marks.size());
    s.component("complete", right == marks.size() ? 1 : 0);
    return share - trailing_penalty * static_cast<double>(trailing(text));
  }

  // Characters after the last closing tag; none when it is not there.
  std::size_t trailing(std::string_view text) const {
    const std::size_t at = text.rfind(marks.back());
    if (at == text.npos) return 0;
    std::size_t n = 0;
    for (char c : text.substr(at + marks.back().size())) {
      const bool continues = (static_cast<unsigned char>(c) & 0xc0) == 0x80;  // of a UTF-8 sequence
      n += !continues && c != ' ' && c != '\n' && c != '\t' && c != '\r';
    }
    return n;
  }

  bool in_order;
  double trailing_penalty;
  std::vector<std::string> marks;  // <a>, </a>, <b>, </b>
};

}  // namespace

GRPO_REWARD(tags, "tags");
