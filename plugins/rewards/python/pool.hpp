// pool.hpp: the children of one reward, and who has which.
//
// A slot is the right to one child; there are `workers` of them. A child is started when a slot without one is used
// for the first time, and again when it was lost. [any thread]
#ifndef GRPO_REWARD_PYTHON_POOL_HPP
#define GRPO_REWARD_PYTHON_POOL_HPP

#include <condition_variable>
#include <grpo/author.hpp>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "child.hpp"

namespace grpo_python {

class Pool {
 public:
  Pool(std::string python, json start, std::size_t workers);
  ~Pool();

  // Given back when it goes; its child then waits for the next, unless it has ended.
  class Slot {
   public:
    Slot(Pool& pool, std::unique_ptr<Child> child) : child(std::move(child)), pool_(&pool) {}
    Slot(Slot&& other) noexcept : child(std::move(other.child)), pool_(other.pool_) { other.pool_ = nullptr; }
    Slot& operator=(Slot&&) = delete;
    ~Slot();
    std::unique_ptr<Child> child;  // never NULL while the slot is used

   private:
    Pool* pool_;
  };

  Slot take(const grpo::call& call);     // waits; throws when the call is to stop
  std::unique_ptr<Slot> take_if_free();  // NULL: none
  std::unique_ptr<Child> start() const;

  const std::string& python() const { return python_; }  // the interpreter

  // For a log: true once for each text.
  bool first(const std::string& text);

 private:
  Slot taken();  // under the lock
  std::string python_;
  json start_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  std::size_t free_;
  std::vector<std::unique_ptr<Child>> idle_;
  std::set<std::size_t> told_;
};

}  // namespace grpo_python

#endif
