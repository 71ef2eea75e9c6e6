// generate, for a person: a reply that is read while it is made, or a chat.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "generate.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/visible.hpp"
#include "grpo/sdk/train/stream.hpp"

namespace grpo::host {
namespace {

using Json = nlohmann::ordered_json;

// Ctrl-C ends the reply. A second one during the same reply, or one while nothing is being said, ends the program.
std::atomic<int> interrupts{0};
std::atomic<bool> replying{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void on_interrupt(int number) {
  if (!replying.load() || interrupts.fetch_add(1) > 0) {
    signal(number, SIG_DFL);
    raise(number);
  }
}

class Conversation {
 public:
  explicit Conversation(const GenerateArguments& a)
      : a_(a),
        session_(config_of(a), a.model.run.plugin_places(), {.sampler = true}),
        sampling_(*session_.sampling()),
        stream_(session_),
        key_(grpo_random_key(static_cast<std::uint64_t>(a.seed), 0)) {
    if (!a.raw && !session_.text()->chat_template)
      throw Error(session_.text()->template_missing +
                  "\n  Give one with --chat-template, or set --raw to give the prompt to the model as it is");
    if (a.raw && !a.system.empty()) throw Error("--system is part of a chat, and --raw leaves the chat template out");
    forget();
  }

  bool streams() const { return stream_.streams(); }

  void forget() {
    messages_ = Json::array();
    if (!a_.system.empty()) messages_.push_back({{"role", "system"}, {"content", a_.system}});
  }

  // Writes the reply to standard output.
  void say(const std::string& text) {
    Json before = messages_;
    if (!a_.raw) messages_.push_back({{"role", "user"}, {"content", text}});
    interrupts = 0;
    replying = true;
    const auto reply = [&] {
      try {
        return stream_.reply(
            a_.raw ? raw_ids(text)
                   : session_.text()->tokenizer.encode(session_.text()->chat_template->render(messages_)),
            sampling_, grpo_random_key(key_, turn_), [](std::string_view piece) { std::cout << piece << std::flush; },
            [] { return interrupts.load() > 0; });
      } catch (...) {
        replying = false;
        messages_ = before;  // the turn did not happen
        throw;
      }
    }();
    replying = false;
    ++turn_;
    if (!reply.text.ends_with('\n')) std::cout << '\n';
    std::cout << std::flush;
    if (!std::cout) throw Error("standard output cannot be written");
    if (!a_.raw) messages_.push_back({{"role", "assistant"}, {"content", reply.text}});
    if (isatty(STDERR_FILENO) == 1) tell(reply);
  }

 private:
  std::vector<std::int32_t> raw_ids(const std::string& text) const {
    const auto& tokenizer = session_.text()->tokenizer;
    auto ids = tokenizer.encode(text, /*add_special_tokens=*/true);
    // A text that was rendered elsewhere may bring its own beginning: never two of them.
    if (ids.size() > 1 && ids[0] == ids[1] && tokenizer.bos_id() == ids[0]) ids.erase(ids.begin());
    return ids;
  }

  static void tell(const train::StreamedReply& r) {
    const auto n = static_cast<double>(r.ids.size());
    const char* end = r.finish == GRPO_FINISH_STOP     ? ""
                      : r.finish == GRPO_FINISH_LENGTH ? "; cut at --max-new-tokens"
                                                       : "; interrupted";
    std::cerr << fmt::format("[{} tokens, {:.1f} tokens/s; prompt {:.2f}s{}{}]\n", r.ids.size(),
                             r.decode_seconds > 0 ? n / r.decode_seconds : 0, r.prefill_seconds,
                             r.reused ? fmt::format(" ({} tokens from the cache)", r.reused) : "", end);
  }

  const GenerateArguments& a_;
  train::Session session_;
  plugins::Sampling sampling_;
  train::TextStream stream_;
  std::uint64_t key_, turn_ = 0;
  Json messages_;
};

std::string prompt_of(const GenerateArguments& a) {
  std::string text;
  if (a.prompt == std::vector<std::string>{"-"}) {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
    while (text.ends_with('\n')) text.pop_back();
  } else
    for (const auto& word : a.prompt) text.append(text.empty() ? "" : " ").append(word);
  if (text.empty()) throw Error("the prompt is empty");
  return text;
}

void chat(Conversation& conversation, const GenerateArguments& a) {
  const bool at_terminal = isatty(STDIN_FILENO) == 1;
  if (at_terminal) std::cerr << "/reset forgets the conversation, Ctrl-C ends a reply, Ctrl-D the chat\n";
  if (!a.prompt.empty()) conversation.say(prompt_of(a));
  for (std::string line;;) {
    if (at_terminal) std::cerr << "> " << std::flush;
    if (!std::getline(std::cin, line)) break;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    if (line == "/quit" || line == "/exit") break;
    if (line == "/reset") {
      conversation.forget();
      continue;
    }
    try {
      conversation.say(line);
    } catch (const Error& e) {
      if (!at_terminal) throw;
      std::cerr << "grpo-host: " << report::visible(e.what()) << '\n';  // such as: the conversation is too long
    }
  }
  if (at_terminal) std::cerr << '\n';
}

}  // namespace

int generate_text(const GenerateArguments& a) {
  if (a.samples > 1 || a.logprobs)
    throw Error("--samples and --logprobs are for JSON Lines: give the prompt as a line {\"text\": ...}");
  if (a.interactive && a.raw) throw Error("--interactive is a chat, and --raw leaves the chat template out");
  const std::string prompt = a.interactive ? "" : prompt_of(a);
  Conversation conversation(a);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  if (a.interactive)
    chat(conversation, a);
  else
    conversation.say(prompt);
  return interrupts.load() > 0 && !a.interactive ? 128 + SIGINT : 0;
}

}  // namespace grpo::host
