// What reader and writer share: element types, and how errors look.
#ifndef GRPO_KIT_SAFETENSORS_DTYPE_HPP
#define GRPO_KIT_SAFETENSORS_DTYPE_HPP

#include <grpo/kit/safetensors.hpp>
#include <optional>
#include <stdexcept>

namespace grpo::kit {

std::optional<Dtype> parse_dtype(std::string_view name);  // "F32", ...; nullopt: unknown

// The bytes of a tensor; nullopt: a negative size, or more than 2^63.
std::optional<std::uint64_t> tensor_bytes(Dtype dtype, const std::vector<std::int64_t>& shape);

// Throws std::runtime_error, which names the file.
[[noreturn]] inline void fail(const std::filesystem::path& path, const std::string& what) {
  throw std::runtime_error(path.string() + ": " + what);
}

}  // namespace grpo::kit

#endif
