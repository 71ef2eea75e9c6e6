// What this machine can do at most, in one JSON line: the ceiling that bench/decode/run and bench/step/run hold our
// figures against.
//
//   roofline [THREADS] [SECONDS]      default: the processors this process may use, and 0.5 s for each measurement
//
//   fma_gflops     multiply-adds (2 FLOPs each) on registers alone: independent accumulators in each thread, enough to
//                  hide the latency of the widest vectors there are
//   matmul_gflops  fp32 matrix product of 2048 x 1536 x 1536 by the library that training uses on this processor (see
//                  plugins/models/transformer/matmul.hpp), and libtorch_gflops by LibTorch's; absent without LibTorch
//   read_gbs       reading 512 MiB from one end to the other, each thread its part
//
// Each is the best of several passes within its time: a ceiling, not an average.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sched.h>

#ifdef GRPO_BENCH_LIBTORCH
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>

#include "matmul.hpp"
#endif

namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Vectors as GCC and Clang know them. The loops below are inlined into functions that are compiled for one instruction
// set each.
using Wide = float __attribute__((vector_size(64)));
using Middle = float __attribute__((vector_size(32)));
using Narrow = float __attribute__((vector_size(16)));

// `count` accumulators, each multiplied and added to `times`. The factors are near 1 and 0, so that nothing overflows.
template <class V, int count>
[[gnu::always_inline]] inline float multiply_add(std::int64_t times) {
  V sum[count];
  V factor{}, term{};
  factor += 0.999f;
  term += 1e-3f;
  for (int i = 0; i < count; ++i) sum[i] = term * static_cast<float>(i);
  for (std::int64_t n = 0; n < times; ++n) {
#pragma GCC unroll 24
    for (int i = 0; i < count; ++i) sum[i] = sum[i] * factor + term;
  }
  for (int i = 1; i < count; ++i) sum[0] += sum[i];
  return sum[0][0];
}

// Reads n floats (a multiple of eight vectors) into eight sums.
template <class V>
[[gnu::always_inline]] inline float add_up(const float* data, std::int64_t n) {
  constexpr std::int64_t width = sizeof(V) / sizeof(float);
  const V* at = reinterpret_cast<const V*>(data);
  V sum[8] = {};
  for (std::int64_t i = 0; i < n / width; i += 8)
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] += at[i + j];
  for (int j = 1; j < 8; ++j) sum[0] += sum[j];
  return sum[0][0];
}

struct Machine {
  const char* name;
  int floats, accumulators;  // of a vector; as many as registers allow beside the two factors
  float (*multiply_add)(std::int64_t times);
  float (*add_up)(const float* data, std::int64_t n);
};

float multiply_add_narrow(std::int64_t n) { return multiply_add<Narrow, 12>(n); }
float add_up_narrow(const float* data, std::int64_t n) { return add_up<Narrow>(data, n); }
#ifdef __x86_64__
[[gnu::target("avx2,fma")]] float multiply_add_middle(std::int64_t n) { return multiply_add<Middle, 12>(n); }
[[gnu::target("avx2,fma")]] float add_up_middle(const float* data, std::int64_t n) { return add_up<Middle>(data, n); }
[[gnu::target("avx512f,prefer-vector-width=512")]] float multiply_add_wide(std::int64_t n) {
  return multiply_add<Wide, 24>(n);
}
[[gnu::target("avx512f,prefer-vector-width=512")]] float add_up_wide(const float* data, std::int64_t n) {
  return add_up<Wide>(data, n);
}
#endif

Machine machine() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return {"avx512", 16, 24, multiply_add_wide, add_up_wide};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {"avx2", 8, 12, multiply_add_middle, add_up_middle};
#endif
  return {"128 bits", 4, 12, multiply_add_narrow, add_up_narrow};
}

std::vector<int> processors() {
  cpu_set_t set;
  std::vector<int> list;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set)) list.push_back(i);
  return list.empty() ? std::vector<int>{0} : list;
}

// Threads, each on a processor of its own, that all do the same at the same time; seconds from the common start until
// the last has finished. Left to the scheduler, threads that live this briefly often share one.
double together(int threads, const std::function<void(int)>& work) {
  static const std::vector<int> places = processors();
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t)
    team.emplace_back([&, t] {
      cpu_set_t place;
      CPU_ZERO(&place);
      CPU_SET(places[static_cast<std::size_t>(t) % places.size()], &place);
      sched_setaffinity(0, sizeof place, &place);
      ++ready;
      while (!go) std::this_thread::yield();
      work(t);
    });
  while (ready < threads) std::this_thread::yield();
  const auto start = Clock::now();
  go = true;
  for (auto& thread : team) thread.join();
  return since(start);
}

// The best rate of passes that do `amount` each, for at least `seconds` and three passes.
double best_rate(double amount, double seconds, const std::function<double()>& pass) {
  pass();  // caches, clock speed, pages
  double best = 0;
  const auto start = Clock::now();
  for (int n = 0; n < 3 || since(start) < seconds; ++n) best = std::max(best, amount / pass());
  return best;
}

double fma_gflops(const Machine& m, int threads, double seconds) {
  constexpr std::int64_t times = 2'000'000;
  std::vector<float> sink(static_cast<std::size_t>(threads));
  const double flops = 2.0 * static_cast<double>(times) * m.floats * m.accumulators * threads;
  return best_rate(flops, seconds,
                   [&] {
                     return together(threads,
                                     [&](int t) { sink[static_cast<std::size_t>(t)] = m.multiply_add(times); });
                   }) /
         1e9;
}

double read_gbs(const Machine& m, int threads, double seconds) {
  constexpr std::int64_t chunk = 1024;  // floats: a multiple of eight vectors, and a page
  const std::int64_t part = (std::int64_t{512} << 20) / 4 / threads / chunk * chunk;
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<float, Free>> data(static_cast<std::size_t>(threads));
  std::vector<float> sink(static_cast<std::size_t>(threads));
  together(threads, [&](int t) {
    auto& mine = data[static_cast<std::size_t>(t)];
    mine.reset(static_cast<float*>(std::aligned_alloc(4096, static_cast<std::size_t>(part) * 4)));
    if (mine) std::fill_n(mine.get(), part, 1.0f);
  });
  for (const auto& mine : data)
    if (!mine) std::fputs("roofline: no 512 MiB of memory\n", stderr), std::exit(1);
  return best_rate(static_cast<double>(part) * 4 * threads, seconds,
                   [&] {
                     return together(threads, [&](int t) {
                       sink[static_cast<std::size_t>(t)] = m.add_up(data[static_cast<std::size_t>(t)].get(), part);
                     });
                   }) /
         1e9;
}

#ifdef GRPO_BENCH_LIBTORCH
double matmul_gflops(grpo::transformer::MatmulLibrary library, int threads, double seconds) {
  const at::NoGradGuard no_gradient;
  at::set_num_threads(threads);
  constexpr std::int64_t m = 2048, k = 1536, n = 1536;
  const auto a = at::rand({m, k}), b = at::rand({k, n});
  const auto c = at::empty({m, n});
  const grpo::transformer::Matmul matmul(library);
  return best_rate(2.0 * m * k * n, seconds,
                   [&] {
                     const auto start = Clock::now();
                     matmul.set(c, a, b);
                     return since(start);
                   }) /
         1e9;
}
#endif

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 && std::atoi(argv[1]) > 0 ? std::atoi(argv[1]) : static_cast<int>(processors().size());
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.5;
  const Machine m = machine();
  std::string matmul;
#ifdef GRPO_BENCH_LIBTORCH
  using Library = grpo::transformer::MatmulLibrary;
  char text[96];
  std::snprintf(text, sizeof text, "\"matmul_gflops\": %.1f, \"libtorch_gflops\": %.1f, ",
                matmul_gflops(Library::automatic, threads, seconds),
                matmul_gflops(Library::libtorch, threads, seconds));
  matmul = text;
#endif
  const double fma = fma_gflops(m, threads, seconds), read = read_gbs(m, threads, seconds);
  std::printf("{\"threads\": %d, \"vectors\": \"%s\", \"fma_gflops\": %.1f, %s\"read_gbs\": %.2f}\n", threads, m.name,
              fma, matmul.c_str(), read);
}
