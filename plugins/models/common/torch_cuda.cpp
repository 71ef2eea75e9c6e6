#include "torch_cuda.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>

#include <atomic>
#include <filesystem>

namespace grpo::torch_cuda {
namespace {

std::atomic<void*> opened = nullptr;

}  // namespace

// libtorch_cuda.so registers its kernels when it is loaded. That must come before anything asks LibTorch about CUDA:
// the first answer is kept. It is looked for beside libtorch_cpu.so, and by its own run path.
std::string open() {
  Dl_info here{};
  std::string library = "libtorch_cuda.so";
  if (dladdr(reinterpret_cast<void*>(&at::get_num_threads), &here) && here.dli_fname)
    library = (std::filesystem::path(here.dli_fname).parent_path() / library).string();
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return std::string(
               "LibTorch's CUDA library cannot be loaded (it needs NVIDIA's libraries, libcufile, libcusparseLt and "
               "libnvshmem_host among them): ") +
           dlerror();
  opened = handle;
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0)
    return "LibTorch's CUDA library is loaded, but sees no GPU (is there a driver?)";
  return {};
}

void* symbol(const char* name) {
  void* handle = opened;
  return handle ? dlsym(handle, name) : nullptr;  // its dependencies are searched too
}

}  // namespace grpo::torch_cuda
