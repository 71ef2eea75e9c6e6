// torch_cuda.hpp: LibTorch's CUDA kernels, opened when a run asks for them; for plugins that link torch_cpu alone.
#ifndef GRPO_PLUGINS_TORCH_CUDA_HPP
#define GRPO_PLUGINS_TORCH_CUDA_HPP

#include <string>

namespace grpo::torch_cuda {

// Makes LibTorch's CUDA kernels known to this process; any number of times. Returns why there are none, or no GPU;
// empty if all is well. [any thread]
std::string open();

// A function of CUDA's runtime, by its C name, from the one that LibTorch uses; null before open(), and where there is
// none. [any thread]
void* symbol(const char* name);

}  // namespace grpo::torch_cuda

#endif
