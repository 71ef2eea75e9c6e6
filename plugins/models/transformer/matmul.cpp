#include "matmul.hpp"

#include <cpuid.h>
#include <dlfcn.h>

#include <cstring>

#include "errors.hpp"

namespace grpo::transformer {
namespace {

// Where MKL is known to leave most of the processor unused: AVX-512, and not Intel's.
bool onednn_is_faster() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return false;
  char maker[12];
  std::memcpy(maker, &b, 4);
  std::memcpy(maker + 4, &d, 4);
  std::memcpy(maker + 8, &c, 4);
  return std::memcmp(maker, "GenuineIntel", sizeof maker) != 0 && __builtin_cpu_supports("avx512f");
}

// Opened, not linked: the plugin works without it. DEEPBIND: LibTorch has another version of oneDNN inside, some of
// whose names it exports, and a process that sees them first finds that no product is implemented. It stays open, for
// its threads' memory lives as long as they.
void* find_sgemm() {
  for (const char* name : {"libdnnl.so.3", "libdnnl.so.2"})
    if (void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND))
      if (void* sgemm = ::dlsym(library, "dnnl_sgemm")) return sgemm;
  return nullptr;
}

// How a library sees the operand: as it lies, or transposed, and the distance of its rows.
struct Operand {
  char form;
  std::int64_t stride;
};

Operand operand(const at::Tensor& x) {
  const auto whole = [](std::int64_t stride, std::int64_t size) { return std::max(stride, size); };  // of one row
  if (x.stride(1) == 1) return {'N', whole(x.stride(0), x.size(1))};
  TORCH_INTERNAL_ASSERT(x.stride(0) == 1, "a matrix with gaps in rows and columns");
  return {'T', whole(x.stride(1), x.size(0))};
}

}  // namespace

Matmul::Matmul(MatmulLibrary wanted) {
  if (wanted == MatmulLibrary::libtorch || (wanted == MatmulLibrary::automatic && !onednn_is_faster())) return;
  sgemm_ = reinterpret_cast<Sgemm>(find_sgemm());
  if (!sgemm_ && wanted == MatmulLibrary::onednn)
    throw Refusal(GRPO_STATUS_UNSUPPORTED,
                  "option matmul is \"onednn\", and there is no libdnnl.so.3 or libdnnl.so.2; install it (Debian: "
                  "libdnnl2), or leave the option out");
}

void Matmul::multiply(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b, float beta) const {
  constexpr int done = 0;
  if (sgemm_) {
    const auto left = operand(a), right = operand(b);
    if (sgemm_(left.form, right.form, y.size(0), y.size(1), a.size(1), 1, a.const_data_ptr<float>(), left.stride,
               b.const_data_ptr<float>(), right.stride, beta, y.mutable_data_ptr<float>(),
               std::max(y.stride(0), y.size(1))) == done)
      return;
  }
  auto to = y;
  if (beta == 0) {
    at::mm_out(to, a, b);
  } else {
    to.addmm_(a, b);
  }
}

}  // namespace grpo::transformer
