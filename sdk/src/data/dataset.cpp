#include <grpo/sdk/config/nearest.hpp>
#include <grpo/sdk/data/dataset.hpp>
#include <grpo/sdk/error.hpp>
#include <nlohmann/json.hpp>

#include "columns.hpp"
#include "rows.hpp"

namespace grpo::data {
namespace {

constexpr std::size_t rows_between_lines = 64;

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

void require_columns(const OpenOptions& options, const ColumnCensus& census, const std::string& where) {
  for (std::size_t i = 0; i < options.required.size(); ++i) {
    const std::string& name = options.required[i];
    if (census.last_has(name)) continue;
    const auto columns = census.last_columns();
    std::string text = where + ": has no column `" + name + "`";
    if (i < options.required_by.size() && !options.required_by[i].empty())
      text.append(", which is asked for by ").append(options.required_by[i]);
    throw Error(text + ". There are: " + joined(columns) + "." + config::did_you_mean(name, columns));
  }
}

}  // namespace

struct Dataset::State {
  explicit State(const std::filesystem::path& p) : path(p), file(p), framing(framing_of(file)) {}

  std::filesystem::path path;
  File file;
  Framing framing;
  std::vector<std::uint64_t> starts;  // [rows + 1], the last one the end of the last row
  std::vector<std::int64_t> lines;    // of every 64th row: the others are counted from there
  std::vector<Column> columns;
};

Dataset Dataset::open(const std::filesystem::path& path, const OpenOptions& options) {
  auto state = std::make_shared<State>(path);
  const std::string& name = state->file.name();
  ColumnCensus census;
  std::uint64_t end = 0;
  for_each_row(state->file, state->framing, [&](std::string_view text, const Place& place) {
    const auto rows = state->starts.size();
    if (options.max_rows >= 0 && rows >= static_cast<std::uint64_t>(options.max_rows)) return false;
    const Scan scan = census.scan(text);
    if (!scan.is_json) {
      Place at = place;
      at.advance(text.substr(0, std::min(scan.error_at, text.size())));
      throw Error(at.text(name) + ": not JSON: " + scan.error);
    }
    const std::string where = name + ":" + std::to_string(place.line);
    if (!scan.is_object) throw Error(where + ": a row must be an object, {\"column\": value, ...}");
    require_columns(options, census, where);
    if (rows % rows_between_lines == 0) state->lines.push_back(place.line);
    state->starts.push_back(place.offset);
    end = place.offset + text.size();
    return true;
  });
  if (state->starts.empty()) throw Error(name + ": has no rows");
  state->starts.push_back(end);
  state->starts.shrink_to_fit();
  state->columns = census.columns();
  return Dataset(std::move(state));
}

Dataset::Dataset(std::shared_ptr<const State> state) : state_(std::move(state)) {}

std::int64_t Dataset::size() const { return static_cast<std::int64_t>(state_->starts.size()) - 1; }
const std::vector<Column>& Dataset::columns() const { return state_->columns; }
const std::filesystem::path& Dataset::path() const { return state_->path; }

std::string Dataset::text(std::int64_t row) const {
  if (row < 0 || row >= size())
    throw Error(state_->file.name() + ": row " + std::to_string(row) + " of " + std::to_string(size()) +
                " does not exist");
  const auto i = static_cast<std::size_t>(row);
  std::string text = state_->file.read(state_->starts[i], state_->starts[i + 1]);
  text.resize(trim_row(text, row + 1 < size() ? state_->framing : Framing::lines).size());
  return text;
}

Record Dataset::row(std::int64_t row) const {
  Record record = Record::parse(text(row), nullptr, false);
  if (!record.is_object())
    throw Error(where(row) + ": has changed since it was opened; a dataset must not change in a run");
  return record;
}

std::string Dataset::where(std::int64_t row) const {
  const auto i = static_cast<std::size_t>(row), near = i / rows_between_lines * rows_between_lines;
  Place place{.offset = 0, .line = state_->lines.at(i / rows_between_lines)};
  place.advance(state_->file.read(state_->starts[near], state_->starts[i]));
  return state_->file.name() + ":" + std::to_string(place.line);
}

}  // namespace grpo::data
