#include "remote_services.hpp"

#include <algorithm>
#include <cstring>

#include "control.pb.h"
#include "inbox.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr std::int64_t longest_line = 4096;
constexpr std::size_t most_metrics = 16 * 1024;  // in a call

template <class Table>
RemoteServices& own(const Table* table) {
  return *static_cast<RemoteServices*>(table->host);
}

}  // namespace

void RemoteServices::offer(const wire::OpenHandle& m) {
  has_log_ = m.log();
  log_.struct_size = sizeof log_;
  log_.host = this;
  log_.level = m.log_level();
  log_.write = [](const grpo_log* log, std::int32_t level, const char* text, std::int64_t size) noexcept {
    if (level >= log->level && text && size >= 0) own(log).write_line(level, text, size);
  };

  has_metrics_ = m.metrics();
  metrics_.struct_size = sizeof metrics_;
  metrics_.host = this;
  metrics_.add = [](const grpo_metrics* metrics, const char* name, double value) noexcept {
    if (!name) return;
    try {
      RemoteServices& self = own(metrics);
      std::lock_guard lock(self.metrics_mutex_);
      if (self.metrics_added_.size() < most_metrics)
        self.metrics_added_.emplace_back(std::string(name, strnlen(name, 128)), value);
    } catch (...) {
    }
  };

  has_tokenizer_ = m.tokenizer();
  tokenizer_.struct_size = sizeof tokenizer_;
  tokenizer_.host = this;
  tokenizer_.vocabulary = m.vocabulary();
  tokenizer_.bos = m.bos();
  tokenizer_.eos = m.eos();
  tokenizer_.pad = m.pad();
  tokenizer_.encode = [](const grpo_tokenizer* table, std::uint32_t flags, const char* text, std::int64_t size,
                         std::int32_t* ids, std::int64_t room) noexcept -> std::int64_t {
    try {
      wire::TokensQuestion question;
      question.set_flags(flags);
      question.set_text(text, static_cast<std::size_t>(size));
      wire::TokensAnswer answer;
      if (!own(table).ask(question, answer) || answer.size() != answer.ids_size()) return -1;
      if (room > 0) std::copy_n(answer.ids().begin(), std::min(answer.size(), room), ids);
      return answer.size();
    } catch (...) {
      return -1;
    }
  };
  tokenizer_.decode = [](const grpo_tokenizer* table, std::uint32_t flags, const std::int32_t* ids, std::int64_t n,
                         char* text, std::int64_t room) noexcept -> std::int64_t {
    try {
      wire::TokensQuestion question;
      question.set_decode(true);
      question.set_flags(flags);
      question.mutable_ids()->Add(ids, ids + n);
      wire::TokensAnswer answer;
      if (!own(table).ask(question, answer) || answer.size() != static_cast<std::int64_t>(answer.text().size()))
        return -1;
      if (room > 0) std::copy_n(answer.text().begin(), std::min(answer.size(), room), text);
      return answer.size();
    } catch (...) {
      return -1;
    }
  };
}

const void* RemoteServices::find(std::string_view id) const {
  if (id == GRPO_LOG_ID && has_log_) return &log_;
  if (id == GRPO_METRICS_ID && has_metrics_) return &metrics_;
  if (id == GRPO_TOKENIZER_ID && has_tokenizer_) return &tokenizer_;
  return nullptr;
}

void RemoteServices::begin() {
  std::lock_guard lock(socket_);
  listening_ = true;
}

bool RemoteServices::answer(const wire::ToHost& message) {
  std::lock_guard lock(socket_);  // a question of another thread is answered first
  listening_ = false;
  return channel_.send(message);
}

void RemoteServices::take_metrics(wire::Scored& into) {
  std::lock_guard lock(metrics_mutex_);
  for (auto& [name, value] : metrics_added_) {
    into.add_metric(std::move(name));
    into.add_value(value);
  }
  metrics_added_.clear();
}

void RemoteServices::write_line(std::int32_t level, const char* text, std::int64_t size) try {
  wire::ToHost message;
  message.mutable_line()->set_level(level);
  message.mutable_line()->set_text(text, static_cast<std::size_t>(std::min(size, longest_line)));
  std::lock_guard lock(socket_);
  if (listening_) channel_.send(message);
} catch (...) {  // a line that cannot be sent is lost
}

bool RemoteServices::exchange(const wire::ToHost& question, wire::ToChild& answer) {
  std::lock_guard lock(socket_);
  return listening_ && channel_.send(question) && inbox_.receive(answer);
}

bool RemoteServices::ask(const wire::TokensQuestion& question, wire::TokensAnswer& answer) {
  wire::ToHost message;
  *message.mutable_tokens() = question;
  wire::ToChild got;
  if (!exchange(message, got) || !got.has_tokens()) return false;
  answer = std::move(*got.mutable_tokens());
  return true;
}

}  // namespace grpo::plugins::isolate
