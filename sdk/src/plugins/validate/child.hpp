// child.hpp: the child process: runs the checks of a job, one after the other, and tells the parent how each ended.
//
// The job is JSON: {"file", "interface", "name", "options", "quick", "checks": [ids]}. Lines on descriptor 3, JSON
// each:
//   {"begin": id}                                  a check starts
//   {"at": what}, {"fault": what}                  what it is about to do; what an address that faulted belongs to
//   {"end": id, "verdict", "why", "way_out"}       how it ended
//   {"ending": id, ...}                            the same, if the process now ends well: library.exit
#ifndef GRPO_VALIDATE_CHILD_HPP
#define GRPO_VALIDATE_CHILD_HPP

#include <string>

namespace grpo::plugins::conformance {

int run_job(const std::string& job);

}  // namespace grpo::plugins::conformance

#endif
