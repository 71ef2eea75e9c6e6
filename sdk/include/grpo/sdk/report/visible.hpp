// visible.hpp: texts that come from data, models and plugins, made fit for a terminal.
#ifndef GRPO_SDK_REPORT_VISIBLE_HPP
#define GRPO_SDK_REPORT_VISIBLE_HPP

#include <string>
#include <string_view>

namespace grpo::report {

// `text` with control characters spelled out (\x1b), so that it can neither move the cursor nor change colours; lines
// after the first begin with `indent`. Tabs stay.
std::string visible(std::string_view text, std::string_view indent = "");

// The same in at most some `limit` bytes: a longer text loses its middle.
std::string visible(std::string_view text, std::string_view indent, std::size_t limit);

// Cells of a terminal that UTF-8 text takes, a code point counted as one.
std::size_t cells(std::string_view text);

}  // namespace grpo::report

#endif
