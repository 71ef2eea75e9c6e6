#include "pattern.hpp"

#include <pcre2.h>

#include <stdexcept>

#include "grpo/sdk/error.hpp"
#include "unicode.hpp"

namespace grpo::text {
namespace {

// What a match needs to write to. One a thread: match data must not be shared, and a stack for the JIT code, which has
// 32 kB of its own otherwise, is worth keeping.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr);

  Scratch() {
    if (!data || !context) throw Error("out of memory for matching");
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (stack) pcre2_jit_stack_free(stack);
  }
};

Scratch& scratch() {
  thread_local Scratch instance;
  return instance;
}

std::string message_of(int code) {
  unsigned char text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

Regex::Regex(std::string_view expression) {
  const std::string pattern = to_pcre2(expression);
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);  // "." and "$" know no other line end in Oniguruma
  // In Ruby's syntax "^" and "$" are always those of a line.
  constexpr uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  std::size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error,
                                   &offset, context.get());
  if (!code) {
    throw std::invalid_argument("the regular expression does not compile: " + message_of(error) + " at byte " +
                                std::to_string(offset) + " of " + pattern);
  }
  code_ = std::shared_ptr<pcre2_code>(code, pcre2_code_free);
  jit_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
}

std::optional<Match> Regex::find(std::string_view text, std::size_t from) const {
  Scratch& local = scratch();
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int result = PCRE2_ERROR_JIT_STACKLIMIT;
  if (jit_) result = pcre2_jit_match(code_.get(), subject, text.size(), from, 0, local.data, local.context);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its state on the heap
    result = pcre2_match(code_.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, local.data,
                         local.context);
  }
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) throw Error("matching a tokenizer's regular expression failed: " + message_of(result));
  const std::size_t* const range = pcre2_get_ovector_pointer(local.data);
  return Match{range[0], range[1]};
}

Pattern Pattern::read(const Field& field) {
  if (const std::optional<Field> literal = field.find("String")) return Pattern(literal->string());
  const std::optional<Field> expression = field.find("Regex");
  if (!expression) field.fail("is neither {\"String\": ...} nor {\"Regex\": ...}");
  try {
    return Pattern(Regex(expression->string()));
  } catch (const std::invalid_argument& error) {
    expression->fail(error.what());
  }
}

std::optional<Match> Pattern::find(std::string_view text, std::size_t from) const {
  if (const auto* literal = std::get_if<std::string>(&what_)) {
    const std::size_t at = text.find(*literal, from);
    if (at == std::string_view::npos) return std::nullopt;
    return Match{at, at + literal->size()};
  }
  return std::get<Regex>(what_).find(text, from);
}

std::size_t Pattern::behind_character(std::string_view text, std::size_t position) {
  if (position >= text.size()) return text.size() + 1;
  next_character(text, position);
  return position;
}

std::string Pattern::replace_all(std::string_view text, std::string_view content) const {
  std::string result;
  for_each(text, [&](std::size_t begin, std::size_t end, bool is_match) {
    result.append(is_match ? content : text.substr(begin, end - begin));
  });
  return result;
}

}  // namespace grpo::text
