// machine.hpp: what a run ran on, for run.json.
#ifndef GRPO_SRC_TRAIN_MACHINE_HPP
#define GRPO_SRC_TRAIN_MACHINE_HPP

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace grpo::train {

// {processor, cores (that the run uses), memory_bytes, system, name}. threads: run.threads, 0 for all.
nlohmann::json machine(std::int64_t threads);

// Versions of the CUDA driver and runtime, where this process has them loaded.
std::map<std::string, std::string> device_libraries();

}  // namespace grpo::train

#endif
