// terminal.hpp: the one place that writes to standard output and standard error while a run goes on.
//
// Main idea. The bar is a line that has no end yet. Whatever else is written, a row of the table or a log line of some
// other thread, first takes the bar away, and is written whole: nothing lands inside anything.
#ifndef GRPO_SRC_REPORT_TERMINAL_HPP
#define GRPO_SRC_REPORT_TERMINAL_HPP

#include <string_view>

namespace grpo::report::terminal {

// Whether the stream is a terminal that understands escape codes (TERM names one, and not "dumb").
bool takes_escapes(int descriptor);
// The same, and the user has not turned colours off (NO_COLOR, see no-color.org).
bool takes_colors(int descriptor);
// Columns of the terminal at standard output; 0: it is none. A terminal that does not tell has 80.
int columns();

// All: any thread. The texts are whole lines, but for draw_bar's, which has no line break.
void print(std::string_view text);        // to standard output
void print_error(std::string_view text);  // to standard error
void draw_bar(std::string_view text);     // on standard output, in place of the bar before
void clear_bar();

}  // namespace grpo::report::terminal

#endif
