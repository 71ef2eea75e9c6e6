// crash.hpp: the last words of a process that a plugin brings down.
//
// Main idea. A plugin that is not isolated takes the process with it: the shell says "Segmentation fault" and nothing
// else. With name_crashes the process first writes which plugin and function were running on that thread, in whose
// library the instruction lies, and the way out. Then the signal goes where it would have gone without this: to the
// handler that was there before, or to the default action, so that the exit status and the core file stay what they
// are. A plugin that calls exit is named in the same way, and exit(0) amid its call becomes exit status 1: the work was
// not done. (_exit cannot be seen.)
//
//     int main() { grpo::plugins::name_crashes("grpo-host"); ... }
//
// Each call that the host's handles make leaves a mark on its thread, which costs some nanoseconds a call. Nothing is
// installed unless a program asks: a library that lives in somebody else's process must not.
#ifndef GRPO_SDK_PLUGINS_CRASH_HPP
#define GRPO_SDK_PLUGINS_CRASH_HPP

#include <filesystem>

namespace grpo::plugins {

// For SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT and exit, to standard error. program: begins the line; copied. Once a
// process, before other threads call plugins: each thread that calls one then also gets a stack for the handler, so
// that a stack that overflowed is told too.
void name_crashes(const char* program);

// The words are appended to this file as well; an empty path: no more. Not beside another of this.
void name_crashes_in(const std::filesystem::path& file);

}  // namespace grpo::plugins

#endif
