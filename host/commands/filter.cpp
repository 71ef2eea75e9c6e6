#include "filter.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "grpo/kit/nesting.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::host {
namespace {

// A line as an object. Throws grpo::Error without the JSON library's own prefix, which names its exception and, for
// every line anew, "line 1".
Json parse(const std::string& line) {
  Json row;
  if (kit::nested_too_deeply(line)) throw Error("nested deeper than " + std::to_string(kit::deepest_json) + " levels");
  try {
    row = Json::parse(line);
  } catch (const Json::parse_error& e) {
    const std::string text = e.what();
    const auto at = text.find("syntax error");
    throw Error("not JSON: byte " + std::to_string(e.byte) + ": " + (at == text.npos ? text : text.substr(at)));
  }
  if (!row.is_object()) throw Error("not a JSON object");
  return row;
}

void put(const Json& row) { std::cout << row.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n'; }

}  // namespace

int filter_batches(std::size_t batch, const std::function<std::vector<Json>(const std::vector<Json>&)>& handle) {
  std::ios::sync_with_stdio(false);
  if (isatty(STDIN_FILENO) == 1)
    std::cerr << "grpo-host: reads JSON objects, one a line, from the terminal; Ctrl-D ends\n";
  bool failed = false;
  std::size_t number = 0;
  std::string line;
  bool more = true;
  while (more) {
    std::vector<Json> good, out;       // out: one a line; null where the result of a good line goes
    std::vector<std::size_t> numbers;  // of the good lines
    while (good.size() < batch && (more = static_cast<bool>(std::getline(std::cin, line)))) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      try {
        good.push_back(parse(line));
        numbers.push_back(number);
        out.push_back(nullptr);
      } catch (const std::exception& e) {
        out.push_back({{"error", "line " + std::to_string(number) + ": " + e.what()}});
      }
    }
    std::vector<Json> results;
    if (!good.empty()) {
      try {
        results = handle(good);
      } catch (const std::exception& e) {
        results.assign(good.size(), Json{{"error", e.what()}});
      }
    }
    std::size_t next = 0;
    for (Json& row : out) {
      if (row.is_null()) row = std::move(results.at(next++));
      failed = failed || row.contains("error");
      put(row);
    }
    // A disk that is full would otherwise swallow all that is still to come.
    if (!std::cout.flush()) throw Error("standard output cannot be written: " + std::generic_category().message(errno));
  }
  return failed ? 1 : 0;
}

int filter(const std::function<Json(const Json&)>& each) {
  return filter_batches(1, [&](const std::vector<Json>& rows) { return std::vector<Json>{each(rows.front())}; });
}

const Json& member(const Json& row, const char* key) {
  const auto at = row.find(key);
  if (at == row.end()) {
    std::string there;
    for (const auto& [name, value] : row.items()) there += (there.empty() ? "" : ", ") + name;
    throw Error("there is no '" + std::string(key) + "'; this line has: " + (there.empty() ? "nothing" : there));
  }
  return *at;
}

std::string text_member(const Json& row, const char* key) {
  const Json& value = member(row, key);
  if (!value.is_string()) throw Error("'" + std::string(key) + "' is not a text");
  return value.get<std::string>();
}

std::vector<std::int32_t> ids_member(const Json& row, const char* key) {
  const Json& value = member(row, key);
  std::vector<std::int32_t> ids;
  if (!value.is_array()) throw Error("'" + std::string(key) + "' is not a list of token ids");
  for (const auto& id : value) {
    constexpr std::int64_t most = INT32_MAX;
    if (id.is_number_integer() && (id > most || id < -most))
      throw Error("'" + std::string(key) + "' holds " + id.dump() + ", which is no token id");
    if (!id.is_number_integer()) throw Error("'" + std::string(key) + "' holds something that is not an integer");
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

}  // namespace grpo::host
