// What reader and writer share about element types.
#ifndef GRPO_KIT_SAFETENSORS_DTYPE_HPP
#define GRPO_KIT_SAFETENSORS_DTYPE_HPP

#include <grpo/kit/safetensors.hpp>
#include <optional>

namespace grpo::kit {

std::optional<Dtype> parse_dtype(std::string_view name);  // "F32", ...; nullopt: unknown

// The bytes of a tensor; nullopt: a negative size, or more than 2^63.
std::optional<std::uint64_t> tensor_bytes(Dtype dtype, const std::vector<std::int64_t>& shape);

}  // namespace grpo::kit

#endif
