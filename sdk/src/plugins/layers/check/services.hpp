// services.hpp: the host's services as a checked plugin gets them.
#ifndef GRPO_PLUGINS_CHECK_SERVICES_HPP
#define GRPO_PLUGINS_CHECK_SERVICES_HPP

#include <grpo/host.h>

#include <deque>

#include "opened.hpp"

namespace grpo::plugins::check {

class CheckedServices {
 public:
  explicit CheckedServices(Opened& owner) : owner_(owner) {}
  // The checked table for a table of the host; one that is not known here: itself.
  const void* find(const void* inner, const char* id);

 private:
  // A table in front of another: found again through its `host`.
  template <class Table>
  struct Front {
    Table table{};
    const Table* inner;
    Opened* owner;
  };
  template <class Table>
  using Fronts = std::deque<Front<Table>>;
  template <class Table, class Fill>
  const void* front(Fronts<Table>& list, const void* inner, Fill fill);
  template <class Table>
  static const Front<Table>* open(const Table* table, const char* function);
  static bool on_own_thread(const Opened& owner, const char* function);
  static void fill(grpo_log& table);
  static void fill(grpo_metrics& table);
  static void fill(grpo_tokenizer& table);
  static void fill(grpo_tasks& table);
  static void fill(grpo_comm& table);

  Opened& owner_;
  Fronts<grpo_log> log_;
  Fronts<grpo_metrics> metrics_;
  Fronts<grpo_tokenizer> tokenizer_;
  Fronts<grpo_tasks> tasks_;
  Fronts<grpo_comm> comm_;
};

}  // namespace grpo::plugins::check

#endif
