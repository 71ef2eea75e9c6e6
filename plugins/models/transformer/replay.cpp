#include "replay.hpp"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <utility>

#include "torch_cuda.hpp"

namespace grpo::transformer {
namespace {

// CUDA's runtime, 12 or later, as far as it is needed here; 0 is success.
struct Runtime {
  int (*begin)(void* stream, int mode) = nullptr;
  int (*end)(void* stream, void** graph) = nullptr;
  int (*instantiate)(void** executable, void* graph, unsigned long long flags) = nullptr;
  int (*launch)(void* executable, void* stream) = nullptr;
  int (*destroy)(void* graph) = nullptr;
  int (*destroy_executable)(void* executable) = nullptr;
  int (*last_error)() = nullptr;
  const char* (*text)(int error) = nullptr;

  void require(int error, const char* what) const {
    if (error == 0) return;
    last_error();  // or the next operation would report it as its own
    TORCH_CHECK(false, what, ": ", text(error));
  }
};

// Relaxed: LibTorch's allocator may ask for memory while a pass is recorded.
constexpr int relaxed_capture = 2;

Runtime runtime() {
  Runtime r;
  const auto find = [](auto& to, const char* name) {
    to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(torch_cuda::symbol(name));
    TORCH_CHECK(to, "CUDA's runtime has no ", name);
  };
  find(r.begin, "cudaStreamBeginCapture");
  find(r.end, "cudaStreamEndCapture");
  find(r.instantiate, "cudaGraphInstantiate");
  find(r.launch, "cudaGraphLaunch");
  find(r.destroy, "cudaGraphDestroy");
  find(r.destroy_executable, "cudaGraphExecDestroy");
  find(r.last_error, "cudaGetLastError");
  find(r.text, "cudaGetErrorString");
  return r;
}

class CudaGraph final : public Recording {
 public:
  CudaGraph(const Runtime& runtime, c10::Stream stream, void* graph) : runtime_(runtime), stream_(stream) {
    runtime_.require(runtime_.instantiate(&executable_, graph, 0), "cudaGraphInstantiate");
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  ~CudaGraph() override {
    try {
      stream_.synchronize();
    } catch (const c10::Error&) {  // whoever uses the results is told
    }
    runtime_.destroy_executable(executable_);
  }

  void start() override { runtime_.require(runtime_.launch(executable_, stream_.native_handle()), "cudaGraphLaunch"); }

 private:
  const Runtime& runtime_;
  c10::Stream stream_;
  void* executable_ = nullptr;
};

// The memory of a pass is what LibTorch's allocator gives on one stream. It goes back when the pass has been recorded,
// and the graph still writes there: safe while nothing else is made on that stream, and afterwards by its order.
class CudaRecorder final : public Recorder {
 public:
  CudaRecorder(c10::Device device, std::function<void(const std::string&)> say)
      : runtime_(runtime()),
        guard_(device.type()),
        stream_(guard_.getStreamFromGlobalPool(device, false)),
        say_(std::move(say)) {}

  void inside(const std::function<void()>& work) override {
    const auto outer = guard_.getStream(stream_.device());
    follow(outer, stream_);
    try {
      const c10::StreamGuard here(stream_);
      work();
    } catch (...) {
      follow(stream_, outer);
      throw;
    }
    follow(stream_, outer);
  }

  std::unique_ptr<Recording> record(const std::function<void()>& pass) override {
    if (broken_) return nullptr;
    try {
      return captured(pass);
    } catch (const c10::Error& e) {
      broken_ = true;
      say_(e.what_without_backtrace());
      return nullptr;
    }
  }

 private:
  static void follow(const c10::Stream& first, const c10::Stream& then) {
    c10::Event event(first.device_type());
    event.record(first);
    event.block(then);
  }

  std::unique_ptr<Recording> captured(const std::function<void()>& pass) {
    runtime_.require(runtime_.begin(stream_.native_handle(), relaxed_capture), "cudaStreamBeginCapture");
    void* graph = nullptr;
    try {
      pass();
    } catch (...) {
      runtime_.end(stream_.native_handle(), &graph);
      if (graph) runtime_.destroy(graph);
      runtime_.last_error();
      throw;
    }
    runtime_.require(runtime_.end(stream_.native_handle(), &graph), "cudaStreamEndCapture");
    const std::unique_ptr<void, int (*)(void*)> owned(graph, runtime_.destroy);
    return std::make_unique<CudaGraph>(runtime_, stream_, graph);
  }

  Runtime runtime_;
  c10::impl::VirtualGuardImpl guard_;
  c10::Stream stream_;
  std::function<void(const std::string&)> say_;
  bool broken_ = false;
};

// A product, a count on the device and a place that depends on it, four times in a row.
std::string trial(Recorder& recorder, c10::Device device) {
  const auto options = at::TensorOptions().device(device).dtype(at::kFloat);
  at::Tensor got, wanted;
  recorder.inside([&] {
    const auto run = [&](Recorder* with) {
      const auto x = at::full({32, 32}, 0.01, options), to = at::zeros({4, 32}, options);
      const auto at = at::zeros({1}, options.dtype(at::kLong));
      const auto kept = repeat(
          4, with, [] { return true; },
          [&] {
            to.index_copy_(0, at, at::matmul(x, x).narrow(0, 0, 1) + at);
            x.add_(0.01);
            at.add_(1);
          });
      return to.cpu();
    };
    wanted = run(nullptr);
    got = run(&recorder);
  });
  return at::allclose(got, wanted) ? "" : "what was recorded gives other results";
}

}  // namespace

std::unique_ptr<Recording> repeat(std::int64_t times, Recorder* recorder, const std::function<bool()>& before,
                                  const std::function<void()>& pass) {
  constexpr std::int64_t worth_recording = 3;  // passes to come: recording launches one too. A guess, not measured
  std::unique_ptr<Recording> recording;
  for (std::int64_t k = 0; k < times && before(); ++k) {
    if (k == 1 && recorder && times - k >= worth_recording) recording = recorder->record(pass);
    recording ? recording->start() : pass();
  }
  return recording;
}

std::unique_ptr<Recorder> make_cuda_recorder(c10::Device device, const std::function<void(const std::string&)>& say) {
  std::string why;
  try {
    auto recorder = std::make_unique<CudaRecorder>(device, [&](const std::string& text) { why = text; });
    const auto wrong = trial(*recorder, device);
    if (why.empty()) why = wrong;
    if (why.empty()) return std::make_unique<CudaRecorder>(device, say);
  } catch (const c10::Error& e) {
    why = e.what_without_backtrace();
  }
  say(why);
  return nullptr;
}

}  // namespace grpo::transformer
