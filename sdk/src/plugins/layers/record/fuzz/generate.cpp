#include "generate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "utf8.hpp"

namespace grpo::plugins::fuzzing {
namespace {

using nlohmann::json;

constexpr std::size_t longest_text = 256 * 1024;

std::string repeated(const std::string& part, std::int64_t times) {
  std::string out;
  for (std::int64_t i = 0; i < times && out.size() < longest_text; ++i) out += part;
  return out;
}

// What graders and parsers trip over.
const std::vector<std::string> hostile = {"\\boxed{}",
                                          "\\boxed{",
                                          "}",
                                          "{",
                                          "$",
                                          "$$",
                                          "\\(",
                                          "\\)",
                                          "\\frac{1}{0}",
                                          "\\frac{}{}",
                                          "\\frac12",
                                          "\\sqrt{-1}",
                                          "\\sqrt[0]{2}",
                                          "0/0",
                                          "1/0",
                                          "-0",
                                          "1e999999999",
                                          "1e-999999999",
                                          "0x",
                                          "NaN",
                                          "inf",
                                          "-inf",
                                          "9223372036854775808",
                                          "-9223372036854775808",
                                          "99999999999999999999999999",
                                          "0.1e+",
                                          "1,000,000",
                                          "1.000,00",
                                          "50\\%",
                                          "2^{2^{2^{99}}}",
                                          "9^9^9^9",
                                          "10^{1000000000}",
                                          "(1,2]",
                                          "[1,2)",
                                          "\\infty",
                                          "\\pi",
                                          "\\text{",
                                          "\\left(",
                                          "\\right)",
                                          "\\begin{matrix}",
                                          "\\end{matrix}",
                                          "\\\\",
                                          "&",
                                          "%s%n%d",
                                          "%",
                                          "\\",
                                          "/",
                                          "\"",
                                          "'",
                                          "`",
                                          "```",
                                          "\n",
                                          "\r\n",
                                          "\t",
                                          "<think>",
                                          "</think>",
                                          "<answer>",
                                          "</answer>",
                                          "<",
                                          ">",
                                          "####",
                                          "The answer is ",
                                          "null",
                                          "[]",
                                          "{}",
                                          "[[[",
                                          "{\"a\":",
                                          "\\u0000",
                                          "-",
                                          "--",
                                          "+",
                                          ".",
                                          ",",
                                          ";",
                                          ":",
                                          "=",
                                          "==",
                                          "1",
                                          "42",
                                          "-1",
                                          "3.14",
                                          "yes",
                                          "no",
                                          "A",
                                          "(A)",
                                          "true"};

const std::vector<std::string> rare_points = {std::string(1, '\0'),
                                              "\x01",
                                              "\x7f",
                                              "\xc2\xa0",
                                              "\xcc\x81",
                                              "\xd7\xa9",
                                              "\xe2\x80\x8b",
                                              "\xe2\x80\xae",
                                              "\xe2\x88\x92",
                                              "\xef\xbb\xbf",
                                              "\xef\xbf\xbd",
                                              "\xef\xbf\xbf",
                                              "\xef\xbc\x91",
                                              "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80",
                                              "\xf0\x9d\x9f\x8f",
                                              "\xf4\x8f\xbf\xbf",
                                              "\xe2\x80\xa8",
                                              "\xc3\x9f",
                                              "\xc4\xb0",
                                              "\xe0\xb8\x81"};

const std::vector<double> numbers = {0.0,
                                     -0.0,
                                     1.0,
                                     -1.0,
                                     0.5,
                                     1e308,
                                     -1e308,
                                     5e-324,
                                     std::numeric_limits<double>::infinity(),
                                     -std::numeric_limits<double>::infinity(),
                                     std::numeric_limits<double>::quiet_NaN(),
                                     9007199254740993.0};
const std::vector<std::int64_t> integers = {0,         1,         -1,        2,          7,      INT32_MAX,
                                            INT32_MIN, INT64_MAX, INT64_MIN, 4294967296, 1 << 20};

}  // namespace

Generator::Generator(std::uint64_t seed, std::vector<std::string> words, json schema, json fixed)
    : draw_(seed), words_(std::move(words)), schema_(std::move(schema)), fixed_(std::move(fixed)) {
  for (const auto& [key, option] : schema_.items()) words_.push_back(key);
  if (words_.empty()) words_.push_back("answer");
}

void Generator::learn(const wire::RewardBatch& batch) {
  constexpr std::size_t most = 64;
  if (corpus_.size() < most)
    corpus_.push_back(batch);
  else if (draw_.one_in(4))
    corpus_[static_cast<std::size_t>(draw_.below(most))] = batch;
}

// ---- texts

std::string Generator::nested() {
  static const std::vector<std::pair<std::string, std::string>> pairs = {
      {"\\boxed{", "}"},       {"{", "}"},       {"(", ")"},       {"[", "]"},
      {"\\frac{1}{", "}"},     {"\\sqrt{", "}"}, {"2^{", "}"},     {"<think>", "</think>"},
      {"\\left(", "\\right)"}, {"-", ""},        {"{\"a\":", "}"}, {"\\text{", "}"}};
  const auto& [open, close] = draw_.of(pairs);
  static const std::vector<std::int64_t> depths = {1, 2, 3, 50, 1000, 20000, 250000};
  const std::int64_t depth = draw_.of(depths);
  return repeated(open, depth) + (draw_.one_in(2) ? "1" : "") + repeated(close, depth - (draw_.one_in(3) ? 1 : 0));
}

std::string Generator::rare() {
  std::string out;
  for (std::int64_t n = 1 + draw_.below(6); n > 0; --n)
    out += repeated(draw_.of(rare_points), draw_.one_in(8) ? 1 + draw_.below(5000) : 1);
  return out;
}

std::string Generator::piece(const std::string& truth) {
  switch (draw_.below(9)) {
    case 0:
      return truth;
    case 1:
      return "\\boxed{" + truth + "}";
    case 2:
    case 3:
      return draw_.of(hostile);
    case 4:
    case 5:
      return draw_.of(words_);
    case 6:
      return rare();
    case 7:
      return draw_.one_in(4) ? nested() : std::to_string(integer());
    default: {
      std::string bytes;
      for (std::int64_t n = draw_.below(20); n > 0; --n) bytes += static_cast<char>(draw_.below(256));
      return valid_utf8(bytes);  // as the host makes it before a plugin sees it
    }
  }
}

std::string Generator::text(const std::string& truth) {
  if (draw_.one_in(12)) return "";
  if (draw_.one_in(60)) return repeated(piece(truth) + " ", 100000);
  std::string out;
  for (std::int64_t n = 1 + draw_.below(draw_.one_in(6) ? 60 : 5); n > 0; --n) {
    out += piece(truth);
    if (draw_.one_in(2)) out += ' ';
  }
  if (out.size() > longest_text) out = valid_utf8(out.substr(0, longest_text));
  return out;
}

std::string Generator::changed(std::string text) {
  for (std::int64_t n = 1 + draw_.below(3); n > 0; --n) {
    const auto at = static_cast<std::size_t>(draw_.below(static_cast<std::int64_t>(text.size()) + 1));
    const auto span = static_cast<std::size_t>(draw_.below(static_cast<std::int64_t>(text.size() - at) + 1));
    switch (draw_.below(5)) {
      case 0:
        text.erase(at, span);
        break;
      case 1:
        text.insert(at, text.substr(at, span));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(draw_.below(256));
        break;
      default:
        text.insert(at, piece(text.substr(0, 16)));
    }
  }
  if (text.size() > longest_text) text.resize(longest_text);
  return valid_utf8(text);
}

double Generator::number() {
  return draw_.one_in(3) ? static_cast<double>(draw_.below(2000) - 1000) / 8 : draw_.of(numbers);
}
std::int64_t Generator::integer() { return draw_.one_in(3) ? draw_.below(2000) - 1000 : draw_.of(integers); }

// ---- batches

void Generator::add_columns(std::int64_t n, google::protobuf::RepeatedPtrField<wire::Column>& to) {
  for (std::int64_t count = draw_.one_in(2) ? 0 : draw_.below(5); count > 0; --count) {
    wire::Column& column = *to.Add();
    column.set_name(draw_.one_in(10) ? "" : draw_.of(words_));  // a column that it looks for, of any type
    const auto type = static_cast<std::int32_t>(1 + draw_.below(4));
    column.set_type(type);
    for (std::int64_t i = 0; i < n; ++i) {
      if (type == GRPO_COLUMN_TEXT) column.add_text(text(""));
      if (type == GRPO_COLUMN_JSON)
        column.add_text(draw_.one_in(5) ? "" : json(text("")).dump(-1, ' ', false, json::error_handler_t::replace));
      if (type == GRPO_COLUMN_INTEGER) column.add_integer(integer());
      if (type == GRPO_COLUMN_NUMBER) column.add_number(number());
    }
  }
}

wire::RewardBatch Generator::invented() {
  static const std::vector<std::int64_t> counts = {0, 1, 1, 2, 3, 5, 8, 40};
  wire::RewardBatch b;
  const std::int64_t samples = draw_.of(counts);
  const std::int64_t rows = samples == 0 ? draw_.below(2) : 1 + draw_.below(std::min<std::int64_t>(samples, 6));
  b.set_n_rows(rows);
  b.set_n_samples(samples);
  b.set_step(draw_.one_in(2) ? 0 : 1 + draw_.below(100000));
  b.add_prompt_start(0);
  for (std::int64_t r = 0; r < rows; ++r) {
    b.add_prompt(text(""));
    b.add_messages(draw_.one_in(2) ? ""
                                   : json::array({{{"role", "user"}, {"content", text("")}}})
                                         .dump(-1, ' ', false, json::error_handler_t::replace));
    b.add_ground_truth(draw_.one_in(4) ? "" : draw_.one_in(2) ? std::to_string(draw_.below(100)) : text("42"));
    for (std::int64_t n = draw_.below(8); n > 0; --n) b.add_prompt_ids(static_cast<std::int32_t>(draw_.below(50000)));
    b.add_prompt_start(b.prompt_ids_size());
  }
  add_columns(rows, *b.mutable_column());
  std::vector<std::int64_t> in_group(static_cast<std::size_t>(rows));
  b.add_completion_start(0);
  for (std::int64_t i = 0; i < samples; ++i) {
    const auto row = draw_.below(rows);
    b.add_row(row);
    b.add_index(in_group[static_cast<std::size_t>(row)]++);
    b.add_completion(text(b.ground_truth(static_cast<int>(row))));
    b.add_finish(static_cast<std::int32_t>(draw_.below(4)));
    for (std::int64_t n = draw_.below(draw_.one_in(20) ? 5000 : 12); n > 0; --n)
      b.add_completion_ids(draw_.one_in(10) ? INT32_MAX : static_cast<std::int32_t>(draw_.below(50000)));
    b.add_completion_start(b.completion_ids_size());
  }
  if (draw_.one_in(6)) add_columns(samples, *b.mutable_sample_column());
  return b;
}

void Generator::change(wire::RewardBatch& b) {
  for (auto* texts : {b.mutable_completion(), b.mutable_ground_truth(), b.mutable_prompt()})
    for (std::string& text : *texts)
      if (draw_.one_in(2)) text = changed(text);
  for (wire::Column& column : *b.mutable_column()) {
    for (std::string& text : *column.mutable_text())
      if (draw_.one_in(3)) text = column.type() == GRPO_COLUMN_TEXT ? changed(text) : text;
    for (double& x : *column.mutable_number())
      if (draw_.one_in(3)) x = number();
    for (std::int64_t& x : *column.mutable_integer())
      if (draw_.one_in(3)) x = integer();
  }
  for (std::int32_t& finish : *b.mutable_finish())
    if (draw_.one_in(4)) finish = static_cast<std::int32_t>(draw_.below(4));
}

wire::RewardBatch Generator::batch() {
  if (corpus_.empty() || draw_.one_in(3)) return invented();
  wire::RewardBatch b = draw_.of(corpus_);
  if (b.n_samples() > 8) {  // some of them
    std::vector<int> keep;
    for (int i = 0; i < b.n_samples(); ++i)
      if (draw_.below(b.n_samples()) < 8) keep.push_back(i);
    b = selected(b, keep);
  }
  change(b);
  return b;
}

// ---- options

json Generator::value(const json& option) {
  const std::string type = option.value("type", "string");
  if (option.contains("enum")) return draw_.of(option["enum"]);
  if (type == "boolean") return draw_.one_in(2);
  if (type == "number" || type == "integer") {
    const double low = option.value("minimum", -1e6), high = option.value("maximum", std::max(low, 1e6));
    double x = draw_.one_in(3)   ? low
               : draw_.one_in(2) ? high
                                 : low + (high - low) * static_cast<double>(draw_.below(1001)) / 1000;
    if (type == "number") return x;
    return static_cast<std::int64_t>(std::clamp(std::round(x), std::ceil(low), std::floor(high)));
  }
  if (type == "list") return draw_.one_in(3) ? json::array() : json::array({text(""), text("")});
  if (type == "object") return draw_.one_in(3) ? json::object() : json{{draw_.of(words_), text("")}};
  return text("");
}

json Generator::options(bool plain) {
  json out = json::object();
  for (const auto& [key, option] : schema_.items()) {
    const bool due = option.value("required", false) && !option.contains("default");
    // A path is the user's to give: a made-up one tells nothing.
    if (option.value("format", "") == "path" && !due) continue;
    if (due || (!plain && draw_.one_in(2))) out[key] = value(option);
  }
  out.update(fixed_);
  return out;
}

}  // namespace grpo::plugins::fuzzing
