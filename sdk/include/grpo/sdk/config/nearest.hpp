// nearest.hpp: "did you mean": the known word closest to a mistyped one.
#ifndef GRPO_SDK_CONFIG_NEAREST_HPP
#define GRPO_SDK_CONFIG_NEAREST_HPP

#include <string>
#include <string_view>
#include <vector>

namespace grpo::config {

// Edits (insert, delete, replace, swap of neighbours) that turn one into the other; bytes, capitals count as equal.
int edit_distance(std::string_view a, std::string_view b);

// The candidate with the fewest edits if there is one close enough to be meant (a third of the word's length, at least
// one edit), else the only one that begins with the word, else "". Ties: the first.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// " Did you mean `x`?" or "": to append to a message.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace grpo::config

#endif
