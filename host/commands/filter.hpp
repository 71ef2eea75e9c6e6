// filter.hpp: a command that reads JSON lines and writes JSON lines, a line for a line.
//
// A line that cannot be handled gives {"error": "..."} in its place, so that output and input stay aligned; the command
// then ends with exit status 1.
#ifndef GRPO_HOST_FILTER_HPP
#define GRPO_HOST_FILTER_HPP

#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace grpo::host {

using Json = nlohmann::ordered_json;

// One line in, one out. Exceptions become that line's error.
int filter(const std::function<Json(const Json&)>& each);

// Up to `batch` lines at a time, for work that is cheaper together. handle gets the good lines and returns as many
// results; an exception from it is the error of all of them. A result that has "error" counts as one.
int filter_batches(std::size_t batch, const std::function<std::vector<Json>(const std::vector<Json>&)>& handle);

// Members, with errors that name them.
const Json& member(const Json& row, const char* key);
std::string text_member(const Json& row, const char* key);
std::vector<std::int32_t> ids_member(const Json& row, const char* key);

}  // namespace grpo::host

#endif
