// dequantize.hpp: ggml's block types as fp32.
//
// A row is cut into blocks of 32 or 256 values that share a scale, some also a minimum. Each function follows the
// definition of the block and gives the same bits as the gguf Python package.
#ifndef GRPO_SRC_IMPORT_DEQUANTIZE_HPP
#define GRPO_SRC_IMPORT_DEQUANTIZE_HPP

#include <cstddef>
#include <cstdint>
#include <string>

namespace grpo::import {

struct QuantType {
  std::uint32_t id;  // as the file writes it
  const char* name;
  std::int64_t block;  // values in a block
  std::size_t bytes;   // of a block
  void (*widen)(const std::uint8_t* block, float* to);
};

const QuantType* quant_type(std::uint32_t id);  // nullptr: not read
std::string quant_type_name(std::uint32_t id);  // also of those that are not read, as far as known
std::string quant_type_names();                 // of all that are read, for messages

// n values, a multiple of the block; the data need not be aligned.
void dequantize(const QuantType& type, const void* data, std::int64_t n, float* to);

// Rounded to nearest even; too large becomes infinite.
std::uint16_t float_to_f16(float value);

}  // namespace grpo::import

#endif
