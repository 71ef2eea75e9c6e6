// grading.hpp: is this answer to a math problem right?
//
// Main idea. Three steps, each usable alone: find the answer in a completion (extract_answer), bring two answers into
// one spelling (normalize_answer), compare them (answers_equal): as exact rational numbers where both are numbers, else
// as normalised text, part by part for tuples, intervals and sets.
//
//     auto answer = grpo::kit::extract_answer("So we get \\boxed{\\frac{3}{4}}.");   // "\\frac{3}{4}"
//     bool right = grpo::kit::answers_equal("0.75", *answer);                         // true
//
// The rules are those of the MATH and GSM8K graders and of math-verify, re-stated; where we differ on purpose, the
// golden file of tests/grading says so. Expressions are not transformed but evaluated, with a bound of the rounding
// error, at fixed points of their variables: x(x+1) equals x^2+x, and 2\sqrt{3} equals \sqrt{12}.
//
// Bounds. Work is linear in the text, but for the arithmetic of long numbers, which stops at 2,000 digits: beyond,
// plain decimals are compared digit by digit and all else as text. Powers and factorials are evaluated only while they
// stay that small (10^{10^{10}} is text). Any bytes may come, also invalid UTF-8 and zeros.
//
// Threads: any; the functions keep no state. Errors: only std::bad_alloc is thrown.
// Dependencies: the standard library, so a plugin may link it: target grpo_kit_grading.
#ifndef GRPO_KIT_GRADING_HPP
#define GRPO_KIT_GRADING_HPP

#include <optional>
#include <string>
#include <string_view>

namespace grpo::kit {

// Where an answer was found, strongest form first.
enum class AnswerForm {
  boxed,       // \boxed{...}, \fbox{...}, \boxed 5: the last one; several joined by commas, "and", "or" are one list
  tag,         // <answer>...</answer>: the last one. It wins over a \boxed before it, and loses to one inside or after
  hashes,      // #### 72, as GSM8K writes it: the last one, to the end of its line
  phrase,      // "the answer is ...", "final answer: ...": the last one, to the end of its sentence
  last_number  // the last number of the text, if asked for
};

struct ExtractOptions {
  // When no other form is there, take the last number of the text.
  bool last_number = false;
  // Take \boxed only: the strict reading of "put your answer in \boxed{}".
  bool boxed_only = false;
};

struct ExtractedAnswer {
  std::string text;  // trimmed, not normalised
  AnswerForm form;
};

// The final answer of a completion with the form it was found in, or nothing. A \boxed{ that never closes is no answer.
// What follows </think> is asked first, the whole text only where nothing is found there.
std::optional<ExtractedAnswer> find_answer(std::string_view completion, const ExtractOptions& options = {});

// The text alone of find_answer.
std::optional<std::string> extract_answer(std::string_view completion, const ExtractOptions& options = {});

// The gold answer of a dataset's record: the answer inside if it has one of the forms above without the weak ones
// (GSM8K's "... #### 72", a MATH solution with \boxed), else the whole record, trimmed.
std::string extract_gold(std::string_view record);

// One spelling for what is written in many ways: LaTeX spacing, \left \right, \text, \dfrac, units, currency signs,
// degrees, thousands separators, a trailing period, "x =" in front, letters' case in words. For people and for logs;
// answers_equal does this itself.
std::string normalize_answer(std::string_view answer);

// Whether a reader would accept `answer` where `gold` is right. Exact: 0.333 does not equal 1/3. A percentage equals
// its number and its hundredth ("10%" equals "10" and "0.1"); without a percent sign 75 does not equal 0.75.
bool answers_equal(std::string_view gold, std::string_view answer);

}  // namespace grpo::kit

#endif
