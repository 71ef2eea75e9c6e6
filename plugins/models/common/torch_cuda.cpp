#include "torch_cuda.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <filesystem>

namespace grpo::torch_cuda {

// libtorch_cuda.so registers its kernels when it is loaded. That must come before anything asks LibTorch about CUDA:
// the first answer is kept. It is looked for beside libtorch_cpu.so, and by its own run path.
std::string open() {
  Dl_info here{};
  std::string library = "libtorch_cuda.so";
  if (dladdr(reinterpret_cast<void*>(&at::get_num_threads), &here) && here.dli_fname)
    library = (std::filesystem::path(here.dli_fname).parent_path() / library).string();
  if (!dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL))
    return std::string(
               "LibTorch's CUDA library cannot be loaded (it needs NVIDIA's libraries, libcufile, libcusparseLt and "
               "libnvshmem_host among them): ") +
           dlerror();
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0)
    return "LibTorch's CUDA library is loaded, but sees no GPU (is there a driver?)";
  return {};
}

}  // namespace grpo::torch_cuda
