#include "grpo/sdk/train/stream.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/plugins/services.hpp"

namespace grpo::train {
namespace {

constexpr std::int64_t prefill_chunk = 512;  // as the local sampler: bounds what a pass holds

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string names_of(std::uint32_t used) {
  std::string names;
  for (const auto& [bit, name] : {std::pair{GRPO_SAMPLING_TOP_K, "top-k"},
                                  {GRPO_SAMPLING_TOP_P, "top-p"},
                                  {GRPO_SAMPLING_MIN_P, "min-p"},
                                  {GRPO_SAMPLING_REPETITION_PENALTY, "repetition penalty"},
                                  {GRPO_SAMPLING_MIN_NEW, "min-new-tokens"}})
    if (used & static_cast<std::uint32_t>(bit)) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

}  // namespace

std::string StopTextFilter::push(std::string_view text) {
  if (found_) return "";
  held_ += text;
  std::size_t first = held_.npos;
  for (const auto& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != held_.npos) {
    found_ = true;
    held_.resize(first);
    return std::exchange(held_, "");
  }
  // The longest end that some stop text begins with.
  std::size_t keep = 0;
  for (const auto& stop : stops_)
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
      if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopTextFilter::finish() { return std::exchange(held_, ""); }

// Slot 0 of a session of the model's decoder, with what it holds.
struct TextStream::Slot {
  // needed: tokens of cache; a conversation that goes on needs more of them soon.
  Slot(plugins::Model& opened, std::shared_ptr<const plugins::ComponentServices> services, std::int64_t needed)
      : model(opened),
        table(*model.decode()),
        call(std::move(services)),
        capacity(std::min(model.info().max_positions, std::max<std::int64_t>(2048, 2 * needed))) {
    grpo_decode_session wanted{};
    wanted.struct_size = sizeof wanted;
    wanted.slots = 1;
    wanted.tokens = capacity + 1;  // a step needs room for one more
    call.reset();
    call.need(table.session_open(model.raw(), call, &wanted, &session), model.component(), "session_open");
  }
  ~Slot() { table.session_close(session); }

  // Makes the slot hold exactly `prompt`, its last token pending. Returns how many of them it held.
  std::int64_t hold(const std::vector<std::int32_t>& prompt) {
    const bool goes_on = tokens.size() < prompt.size() && std::equal(tokens.begin(), tokens.end(), prompt.begin());
    if (!goes_on) clear();
    const auto had = static_cast<std::int64_t>(tokens.size()), all = static_cast<std::int64_t>(prompt.size());
    for (std::int64_t from = had; from < all; from += prefill_chunk) {
      const std::int64_t slot = 0, start[] = {0, std::min(prefill_chunk, all - from)};
      grpo_decode_prefill p{};
      p.struct_size = sizeof p;
      p.n = 1;
      p.slot = &slot;
      p.start = start;
      p.token = prompt.data() + from;
      call.reset();
      call.need(table.prefill(session, call, &p), model.component(), "prefill");
    }
    tokens = prompt;
    return had;
  }

  void assign(const grpo_sampling& sampling, std::uint64_t key) {
    const std::int64_t slot = 0;
    const grpo_sampling* options = &sampling;
    grpo_decode_assign a{};
    a.struct_size = sizeof a;
    a.n = 1;
    a.slot = &slot;
    a.key = &key;
    a.sampling = &options;
    call.reset();
    call.need(table.assign(session, call, &a), model.component(), "assign");
  }

  // The next token and whether the sequence ended with it: GRPO_FINISH_*. Nothing made: ended without a token.
  std::pair<std::int32_t, std::int32_t> step(bool& made) {
    const std::int64_t slot = 0;
    std::int32_t token = -1, count = 0, ended = GRPO_FINISH_NONE;
    grpo_decode_step s{};
    s.struct_size = sizeof s;
    s.n = 1;
    s.room = 1;
    s.slot = &slot;
    s.token = &token;
    s.count = &count;
    s.ended = &ended;
    call.reset();
    call.need(table.step(session, call, &s), model.component(), "step");
    made = count > 0;
    if (made) tokens.push_back(token);
    return {token, ended};
  }

  void clear() {
    const std::int64_t slot = 0;
    if (!tokens.empty()) table.release(session, 1, &slot);
    tokens.clear();
  }

  plugins::Model& model;
  const grpo_decode& table;
  plugins::Call call;
  std::int64_t capacity;
  void* session = nullptr;
  std::vector<std::int32_t> tokens;  // the pending one too
};

TextStream::TextStream(Session& session) : session_(session) {}
TextStream::~TextStream() = default;

// A sampler with an engine of its own has the weights; the model beside it may be a shadow.
bool TextStream::streams() const { return session_.sampler().binds() && session_.model().decode() != nullptr; }

StreamedReply TextStream::reply(const std::vector<std::int32_t>& prompt, const plugins::Sampling& sampling,
                                std::uint64_t key, const std::function<void(std::string_view)>& on_text,
                                const std::function<bool()>& stop) {
  const auto& info = session_.model().info();
  if (prompt.empty()) throw Error("the prompt is empty");
  if (static_cast<std::int64_t>(prompt.size()) >= info.max_positions)
    throw Error("the prompt has " + std::to_string(prompt.size()) + " tokens, the model " +
                std::to_string(info.max_positions) + " positions");
  for (const auto id : prompt)
    if (id < 0 || id >= info.vocabulary) throw Error("token id " + std::to_string(id) + " is not in the vocabulary");
  return streams() ? decoded(prompt, sampling, key, on_text, stop) : sampled(prompt, sampling, key, on_text);
}

StreamedReply TextStream::decoded(const std::vector<std::int32_t>& prompt, const plugins::Sampling& sampling,
                                  std::uint64_t key, const std::function<void(std::string_view)>& on_text,
                                  const std::function<bool()>& stop) {
  plugins::Model& model = session_.model();
  grpo_sampling options{};
  options.struct_size = sizeof options;
  options.temperature = sampling.temperature;
  options.top_p = sampling.top_p;
  options.min_p = sampling.min_p;
  options.repetition_penalty = sampling.repetition_penalty;
  options.top_k = sampling.top_k;
  options.min_new = sampling.min_new;
  const auto room = model.info().max_positions - static_cast<std::int64_t>(prompt.size());
  options.max_new =
      static_cast<std::int32_t>(sampling.max_new > 0 ? std::min<std::int64_t>(sampling.max_new, room) : room);
  // The text that a reader sees has no special tokens, so a stop text that is one is watched for as an id.
  std::vector<std::int32_t> stop_ids = sampling.stop;
  for (const auto& stop_text : sampling.stop_text)
    if (const auto id = session_.text()->tokenizer.id(stop_text); id && session_.text()->tokenizer.is_special(*id))
      stop_ids.push_back(*id);
  options.n_stop = static_cast<std::int32_t>(stop_ids.size());
  options.stop = stop_ids.data();
  const std::uint32_t missing = grpo_sampling_used(&options) & ~model.decode()->describe(model.raw())->sampling;
  if (missing) throw Error(model.component().label() + ": its decoder does not offer " + names_of(missing));

  StreamedReply reply;
  StopTextFilter filter(sampling.stop_text);
  text::StreamDecoder decoder(session_.text()->tokenizer, /*skip_special_tokens=*/true);
  const auto hand_on = [&](const std::string& text) {
    if (text.empty()) return;
    reply.text += text;
    on_text(text);
  };
  const auto needed = static_cast<std::int64_t>(prompt.size()) + options.max_new;
  if (slot_ && slot_->capacity < needed) slot_.reset();
  if (!slot_) slot_ = std::make_unique<Slot>(model, session_.services().of("stream"), needed);
  auto start = std::chrono::steady_clock::now();
  reply.reused = slot_->hold(prompt);
  slot_->assign(options, grpo_random_key(key, 0));
  reply.prefill_seconds = seconds_since(start);
  start = std::chrono::steady_clock::now();
  while (reply.finish == GRPO_FINISH_NONE) {
    bool made = false;
    const auto [token, ended] = slot_->step(made);
    reply.finish = ended;
    if (made) {
      reply.ids.push_back(token);
      hand_on(filter.push(decoder.push(token)));
    } else if (ended == GRPO_FINISH_NONE) {
      throw Error(model.component().label() + ": step made no token and did not end the sequence");
    }
    if (filter.found() && static_cast<std::int64_t>(reply.ids.size()) >= sampling.min_new)
      reply.finish = GRPO_FINISH_STOP;
    else if (reply.finish == GRPO_FINISH_NONE && stop && stop())
      reply.finish = GRPO_FINISH_CANCELLED;
  }
  hand_on(filter.push(decoder.finish()));
  if (!filter.found()) hand_on(filter.finish());
  reply.decode_seconds = seconds_since(start);
  return reply;
}

StreamedReply TextStream::sampled(const std::vector<std::int32_t>& prompt, const plugins::Sampling& sampling,
                                  std::uint64_t key, const std::function<void(std::string_view)>& on_text) {
  StreamedReply reply;
  const auto start = std::chrono::steady_clock::now();
  session_.sampler().generate({{.id = 0,
                                .key = key,
                                .prompt = prompt,
                                .n_samples = 1,
                                .sampling = std::make_shared<const plugins::Sampling>(sampling)}},
                              [&](plugins::Completion c) {
                                reply.ids = std::move(c.ids);
                                reply.finish = c.finish;
                              });
  reply.decode_seconds = seconds_since(start);
  StopTextFilter filter(sampling.stop_text);
  reply.text = filter.push(session_.text()->tokenizer.decode(reply.ids, /*skip_special_tokens=*/true));
  if (!filter.found()) reply.text += filter.finish();
  on_text(reply.text);
  return reply;
}

}  // namespace grpo::train
