// Writes an event file for read_tensorboard.py: event_writer DIRECTORY FIRST_STEP LAST_STEP FACTOR
#include <cmath>
#include <cstdlib>

#include "grpo/sdk/report/tensorboard.hpp"

int main(int, char** argv) {
  const long first = std::atol(argv[2]), last = std::atol(argv[3]);
  grpo::report::TensorBoard board(argv[1], first);
  board.text(first - 1, "config", grpo::report::code_block("run:\n  seed: 7"));
  for (long step = first; step <= last; ++step) {
    grpo::report::Metrics m;
    m.set("reward", static_cast<double>(step) * std::atof(argv[4]));
    m.set("nothing", std::nan(""));
    board.scalars(step, m);
  }
  board.flush();
}
