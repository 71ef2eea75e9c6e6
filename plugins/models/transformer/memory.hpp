// memory.hpp: large buffers in host memory, straight from the system.
//
// Main idea. The system's fresh pages are zero and cost nothing until they are touched: gradients of a model that only
// generates take no memory. Buffers that live as long as the model are worth huge pages, where the system grants them.
#ifndef GRPO_TRANSFORMER_MEMORY_HPP
#define GRPO_TRANSFORMER_MEMORY_HPP

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <new>

namespace grpo::transformer {

// [elements], zero, page-aligned on the CPU.
inline at::Tensor fresh_zeros(std::int64_t elements, const at::TensorOptions& options) {
  constexpr std::int64_t worth_it = 1 << 20;  // bytes
  const auto bytes = static_cast<std::int64_t>(c10::elementSize(c10::typeMetaToScalarType(options.dtype()))) * elements;
  if (!options.device().is_cpu() || bytes < worth_it) return at::zeros({elements}, options);
  const auto size = static_cast<std::size_t>(bytes);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  ::madvise(memory, size, MADV_HUGEPAGE);  // advice: a refusal changes nothing
  return at::from_blob(
      memory, {elements}, [size](void* p) { ::munmap(p, size); }, options);
}

}  // namespace grpo::transformer

#endif
