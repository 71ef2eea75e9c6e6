// interrupt.hpp: Ctrl-C and SIGTERM during training and other long work.
//
// Main idea. The first signal asks: the running step is finished and a checkpoint written. The second one ends the
// process at once. A signal that was ignored when the program started (nohup) stays ignored.
#ifndef GRPO_HOST_INTERRUPT_HPP
#define GRPO_HOST_INTERRUPT_HPP

namespace grpo::host {

// Catches SIGINT and SIGTERM from now on. Once a process. happens: what the first one brings about, for the message;
// [static].
void catch_interrupts(const char* happens = "finishing the running step, then a checkpoint");
// The first signal that came, such as SIGINT; 0: none. [any thread]
int interrupted();

}  // namespace grpo::host

#endif
