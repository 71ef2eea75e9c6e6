// optimizer_bench.hpp: parameters in memory that notices misuse, cut into slices as a check likes, and an optimizer
// bound to them.
#ifndef GRPO_VALIDATE_OPTIMIZER_BENCH_HPP
#define GRPO_VALIDATE_OPTIMIZER_BENCH_HPP

#include <grpo/optimizer.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "opened.hpp"

namespace grpo::plugins::conformance {

using Numbers = std::vector<float>;

Numbers numbers(std::uint64_t seed, std::size_t n, double scale = 1);  // in -scale .. scale, none of them 0

// A piece of a parameter.
struct Piece {
  std::size_t parameter;
  std::int64_t offset, n;
  std::uint32_t flags = 0;  // GRPO_SLICE_*
};

// Two matrices and a vector.
struct Shape {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t elements() const;
};
const std::vector<Shape>& shapes();
std::vector<Piece> whole_pieces(std::uint32_t flags = 0);
std::vector<Piece> cut_pieces(std::int64_t longest);  // each parameter into pieces

using State = std::map<std::string, std::vector<char>>;

class OptimizerBench {
 public:
  // Values start as numbers(1..). Throws Failed: it does not open or bind.
  OptimizerBench(Subject& subject, const std::vector<Piece>& pieces, Fields fields = Fields::plain);
  OptimizerBench(const OptimizerBench&) = delete;
  OptimizerBench& operator=(const OptimizerBench&) = delete;

  Numbers values() const;  // of all parameters, one after the other
  void set_values(const Numbers& values);
  void set_gradients(const Numbers& gradients);
  double squared_norm();
  void step(std::int64_t number, double rate, double scale = 1);
  grpo_status try_step(Caller& caller, std::int64_t number, double rate, double scale = 1);
  State state();  // copied
  void restore(const State& state);
  void need_intact() const;  // nothing was written beside the values

  const grpo_optimizer* table;
  void* handle() const { return opened_.handle(); }

 private:
  struct Slice {
    std::unique_ptr<Struct<grpo_slice>> slice;
    std::unique_ptr<Struct<grpo_tensor>> value, gradient;
    std::vector<std::int64_t> shape;
  };
  void bind(const std::vector<Piece>& pieces);
  std::vector<const grpo_named_tensor*> tensors();

  Subject& subject_;
  Fields fields_;
  std::deque<Pages> values_, gradients_;  // by parameter
  std::deque<Slice> slices_;
  Opened opened_;  // last: closed first
};

// A description of memory as a tensor.
std::unique_ptr<Struct<grpo_tensor>> tensor_of(void* data, std::vector<std::int64_t>& shape, Fields fields,
                                               const char* what);
std::size_t bytes_of(const grpo_dltensor& t);

}  // namespace grpo::plugins::conformance

#endif
