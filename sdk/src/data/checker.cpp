#include "checker.hpp"

#include <grpo/sdk/config/nearest.hpp>
#include <grpo/sdk/error.hpp>

namespace grpo::data {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

}  // namespace

void RowChecker::check(std::string_view text, const std::function<Place()>& place) {
  const Scan scan = census_.scan(text);
  if (!scan.is_json) {
    Place at = place();
    at.advance(text.substr(0, std::min(scan.error_at, text.size())));
    throw Error(at.text(file_) + ": not JSON: " + scan.error);
  }
  if (!scan.refusal.empty()) throw Error(file_ + ":" + std::to_string(place().line) + ": the row " + scan.refusal);
  if (!scan.is_object)
    throw Error(file_ + ":" + std::to_string(place().line) + ": a row must be an object, {\"column\": value, ...}");
  require_columns(place);
}

void RowChecker::require_columns(const std::function<Place()>& place) const {
  for (std::size_t i = 0; i < options_.required.size(); ++i) {
    const std::string& name = options_.required[i];
    if (census_.last_has(name)) continue;
    const auto columns = census_.last_columns();
    std::string text = file_ + ":" + std::to_string(place().line) + ": has no column `" + name + "`";
    if (i < options_.required_by.size() && !options_.required_by[i].empty())
      text.append(", which is asked for by ").append(options_.required_by[i]);
    throw Error(text + ". There are: " + joined(columns) + "." + config::did_you_mean(name, columns));
  }
}

}  // namespace grpo::data
