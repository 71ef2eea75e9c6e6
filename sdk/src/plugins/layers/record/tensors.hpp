// tensors.hpp: how much of a tensor is kept.
#ifndef GRPO_PLUGINS_RECORD_TENSORS_HPP
#define GRPO_PLUGINS_RECORD_TENSORS_HPP

#include <cstdint>
#include <string>

#include "wire/wire.hpp"

namespace grpo::plugins::record {

// Elements of one tensor that are kept where a part will do, and bytes of all tensors of a call where none will.
inline constexpr std::int64_t most_elements = 8192;
inline constexpr std::int64_t most_bytes = std::int64_t{128} << 20;

// The first n elements, in row-major order; all of them if there are no more. Throws grpo::Error: on a device.
void write_first(const grpo_tensor& tensor, std::int64_t n, wire::Tensor& out);
// n elements spread over all of it, in order; all of them if there are no more.
void write_spread(const grpo_tensor& tensor, std::int64_t n, wire::Tensor& out);
std::int64_t bytes_of(const grpo_tensor& tensor);

// As numbers; false: of a type that is none (compare bytes).
bool numbers_of(const wire::Tensor& tensor, std::vector<double>& out);

// Of the bytes, to see whether they have changed.
std::uint64_t fingerprint(const std::string& bytes);

}  // namespace grpo::plugins::record

#endif
