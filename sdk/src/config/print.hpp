// print.hpp: values as text.
#ifndef GRPO_SRC_CONFIG_PRINT_HPP
#define GRPO_SRC_CONFIG_PRINT_HPP

#include <string>

#include "table.hpp"

namespace grpo::config {

std::string number_text(double value);                 // shortest that reads back to the same: "1.0e-06", "0.2", "1"
std::string scalar_text(const std::string& text);      // as YAML: plain where it stays a text, else quoted
std::string value_text(Type type, const void* field);  // as YAML on one line

}  // namespace grpo::config

#endif
