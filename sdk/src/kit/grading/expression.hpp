// expression.hpp: the value of a cleaned LaTeX or plain expression.
#ifndef GRPO_KIT_GRADING_EXPRESSION_HPP
#define GRPO_KIT_GRADING_EXPRESSION_HPP

#include <optional>
#include <string_view>

#include "value.hpp"

namespace grpo::kit::grading {

// How to read what can be read in two ways.
struct Reading {
  bool negative_variables = false;  // variables are negative at one of the points, so that |x| is not x
  bool decimal_log = false;         // \log is to the base 10
};

// Nothing: not an expression this understands, or longer or deeper than the limits.
std::optional<Value> evaluate(std::string_view cleaned, Reading reading = {});

// How many places a plain decimal such as "-0.333333" shows; nothing when it is not one.
std::optional<std::size_t> decimal_places(std::string_view cleaned);

}  // namespace grpo::kit::grading

#endif
