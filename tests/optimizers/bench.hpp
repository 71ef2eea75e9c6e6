// bench.hpp: an optimizer of this project with parameters of its own, cut into slices as a test likes.
#ifndef OPTIMIZER_TEST_BENCH_HPP
#define OPTIMIZER_TEST_BENCH_HPP

#include <gmock/gmock.h>
#include <grpo/host.h>
#include <grpo/optimizer.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "test/host.hpp"

namespace bench {

using Numbers = std::vector<float>;

// As in tests/golden/make/optimizers.py: multiples of 1/64 in -2 .. 2.
inline Numbers numbers(std::uint32_t seed, std::int64_t n) {
  Numbers out;
  for (std::int64_t i = 0; i < n; ++i) {
    seed = 1664525u * seed + 1013904223u;
    out.push_back(static_cast<float>(static_cast<int>(seed >> 24) - 128) / 64);
  }
  return out;
}

inline std::uint16_t to_bf16(float x) {  // x is finite
  const auto u = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
inline float from_bf16(std::uint16_t h) { return std::bit_cast<float>(std::uint32_t{h} << 16); }

enum class Type { fp32, bf16 };

// A flat array, and tensors that show pieces of it.
class Array {
 public:
  Array(Type type, const Numbers& x) : type_(type) { write(x); }
  void write(const Numbers& x) {
    wide_ = x;
    if (type_ == Type::bf16) {
      narrow_.clear();
      for (const float v : x) narrow_.push_back(to_bf16(v));
    }
  }
  Numbers read() const {
    if (type_ == Type::fp32) return wide_;
    Numbers out;
    for (const std::uint16_t h : narrow_) out.push_back(from_bf16(h));
    return out;
  }
  float& operator[](std::size_t i) { return wide_[i]; }
  grpo_tensor view(std::int64_t offset, std::int64_t* shape) {
    auto t = test::make<grpo_tensor>();
    const bool wide = type_ == Type::fp32;
    void* data = wide ? static_cast<void*>(wide_.data()) : narrow_.data();
    t.dl = {data,
            GRPO_DEVICE_CPU,
            0,
            1,
            static_cast<std::uint8_t>(wide ? GRPO_TYPE_FLOAT : GRPO_TYPE_BFLOAT),
            static_cast<std::uint8_t>(wide ? 32 : 16),
            1,
            shape,
            nullptr,
            static_cast<std::uint64_t>(offset * (wide ? 4 : 2))};
    return t;
  }

 private:
  Type type_;
  Numbers wide_;
  std::vector<std::uint16_t> narrow_;
};

// grpo.tasks/1 on threads of its own; pieces from the last to the first, so that order shows. `skip`: every third piece
// is left out and the call says CANCELLED.
class Tasks {
 public:
  explicit Tasks(std::int64_t threads, bool skip = false) : skip_(skip) {
    table.host = this;
    table.threads = threads;
    table.parallel_for = [](const grpo_tasks* t, const grpo_call*, int64_t n, int64_t grain,
                            void (*body)(void*, int64_t, int64_t), void* context) -> grpo_status {
      auto& self = *static_cast<Tasks*>(t->host);
      ++self.calls;
      const int64_t pieces = (n + grain - 1) / grain;
      std::atomic<int64_t> next{pieces};
      const auto work = [&] {
        for (int64_t i; (i = --next) >= 0;)
          if (!(self.skip_ && i % 3 == 0)) body(context, i * grain, std::min(n, (i + 1) * grain));
      };
      std::vector<std::thread> others;
      for (int64_t i = 1; i < t->threads; ++i) others.emplace_back(work);
      work();
      for (auto& other : others) other.join();
      return self.skip_ ? GRPO_STATUS_CANCELLED : GRPO_STATUS_OK;
    };
  }
  grpo_tasks table = test::make<grpo_tasks>();
  int calls = 0;

 private:
  bool skip_;
};

using Values = std::initializer_list<std::pair<const std::string, double>>;

inline const grpo_optimizer* table_of(const std::string& kind) {
  return test::load<grpo_optimizer>(GRPO_PLUGIN_DIR "/optimizer_" + kind + ".so", GRPO_OPTIMIZER_ID);
}

struct Piece {
  std::string name;
  std::int64_t offset, n;  // of the array
  std::uint32_t flags = 0;
};

// One parameter array and its gradient, in pieces.
class Bench {
 public:
  Bench(const std::string& kind, const grpo_options* options, const Numbers& start, const std::vector<Piece>& pieces,
        Type type = Type::fp32, Type gradient_type = Type::fp32, const grpo_tasks* tasks = nullptr)
      : table(table_of(kind)), value(type, start), gradient(gradient_type, Numbers(start.size())) {
    test::Call call;
    if (tasks) call.services[GRPO_TASKS_ID] = tasks;
    need(call, table->open(call, options, &handle));
    std::vector<const grpo_slice*> list;
    for (const Piece& p : pieces) {
      auto& made = kept_.emplace_back();
      made.name = p.name;
      made.shape = p.n;
      made.whole = static_cast<std::int64_t>(start.size());
      made.value = value.view(p.offset, &made.shape);
      made.gradient = gradient.view(p.offset, &made.shape);
      made.slice.flags = p.flags;
      made.slice.name = made.name.c_str();
      made.slice.whole_ndim = 1;
      made.slice.whole_shape = &made.whole;
      made.slice.offset = p.offset;
      made.slice.value = &made.value;
      made.slice.gradient = &made.gradient;
      list.push_back(&made.slice);
    }
    need(call, table->bind(handle, call, static_cast<std::int64_t>(list.size()), list.data()));
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench() { table->close(handle); }

  void step(std::int64_t number, double rate, double scale = 1) {
    test::Call call;
    need(call, try_step(call, number, rate, scale));
  }
  grpo_status try_step(const grpo_call* call, std::int64_t number, double rate, double scale = 1) {
    auto a = test::make<grpo_optimizer_step>();
    a.step = number;
    a.learning_rate = rate;
    a.gradient_scale = scale;
    return table->step(handle, call, &a);
  }
  double squared_norm() {
    test::Call call;
    double sum = 0;
    need(call, table->squared_norm(handle, call, &sum));
    return sum;
  }
  std::vector<const grpo_named_tensor*> listed() const {
    test::Call call;
    std::int64_t n = 0;
    const grpo_named_tensor* const* list = nullptr;
    need(call, table->state(handle, call, &n, &list));
    return {list, list + n};
  }
  std::map<std::string, Numbers> state() const {
    std::map<std::string, Numbers> out;
    for (const auto* named : listed()) {
      const auto& dl = named->tensor->dl;
      const auto* data = reinterpret_cast<const float*>(static_cast<const char*>(dl.data) + dl.byte_offset);
      out[named->name].assign(data, data + dl.shape[0]);
    }
    return out;
  }
  void restore(const std::map<std::string, Numbers>& from) {
    const auto list = listed();
    ASSERT_EQ(list.size(), from.size());
    for (const auto* named : list) {
      const Numbers& x = from.at(named->name);
      ASSERT_EQ(named->tensor->dl.shape[0], static_cast<std::int64_t>(x.size()));
      std::memcpy(named->tensor->dl.data, x.data(), x.size() * sizeof(float));
    }
    test::Call call;
    need(call, table->state_written(handle, call));
  }

  const grpo_optimizer* table;
  void* handle = nullptr;
  Array value, gradient;

 private:
  struct Kept {
    std::string name;
    std::int64_t shape, whole;
    grpo_tensor value, gradient;
    grpo_slice slice = test::make<grpo_slice>();
  };
  static void need(const test::Call& call, grpo_status status) {
    if (status != GRPO_STATUS_OK) throw std::runtime_error(call.error());
  }
  std::deque<Kept> kept_;
};

inline std::vector<Piece> whole(std::int64_t n) { return {{"w", 0, n}}; }
inline double rate(int step) { return 0.02 * (1 - step / 40.0); }

}  // namespace bench

#endif
