#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <grpo/sdk/data/dataset.hpp>
#include <grpo/sdk/error.hpp>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "checker.hpp"
#include "row_index.hpp"
#include "rows.hpp"

namespace grpo::data {
namespace {

// What opening itself checks: every row of a file of usual size, in about the time of a breath.
constexpr std::uint64_t checked_at_open = std::uint64_t{4} << 20;
constexpr std::uint64_t piece = std::uint64_t{1} << 18;  // of the file, read at once by the pass over the rest

}  // namespace

struct Dataset::State {
  State(const std::filesystem::path& p, const OpenOptions& o)
      : path(p), options(o), file(p), framing(framing_of(file)), checker(file.name(), o) {}
  ~State() { stop.store(true); }  // and then `pass` is joined

  void build_index();
  void start_pass();
  void check_rest();
  void finish(std::exception_ptr error);
  void wait() const;

  std::string_view trimmed(std::string_view text, std::size_t row) const {
    return trim_row(text, row + 1 < index.size() ? framing : Framing::lines);
  }
  Place place(std::size_t row) const;

  std::filesystem::path path;
  OpenOptions options;
  File file;
  Framing framing;
  RowIndex index;

  // The pass writes these until it is done.
  RowChecker checker;
  std::vector<Column> columns;
  std::exception_ptr failure;

  std::atomic<std::size_t> good{0};  // that many rows are known to be good
  std::atomic<bool> done{false}, stop{false};
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::jthread pass;  // last: it uses all of the above
};

Dataset Dataset::open(const std::filesystem::path& path, const OpenOptions& options) {
  auto state = std::make_shared<State>(path, options);
  state->build_index();
  state->start_pass();
  return Dataset(std::move(state));
}

void Dataset::State::build_index() {
  std::uint64_t end = 0;
  std::size_t checked = 0;
  for_each_row(file, framing, [&](std::string_view text, const Place& at) {
    const auto rows = index.size();
    if (options.max_rows >= 0 && rows >= static_cast<std::uint64_t>(options.max_rows)) return false;
    if (at.offset < checked_at_open) {
      checker.check(text, [&] { return at; });
      ++checked;
    }
    if (!index.add(at))
      throw Error(file.name() + ":" + std::to_string(at.line) + ": up to here, " + std::to_string(RowIndex::block) +
                  " rows take more than 4 GiB; keep what is that large in files of its own and name them in the rows");
    end = at.offset + text.size();
    return true;
  });
  if (index.size() == 0) throw Error(file.name() + ": has no rows");
  index.finish(end);
  good = checked;
}

void Dataset::State::start_pass() {
  if (good == index.size()) return finish(nullptr);
  pass = std::jthread([this] {
    try {
      check_rest();
      finish(nullptr);
    } catch (...) {
      finish(std::current_exception());
    }
  });
}

void Dataset::State::check_rest() {
  std::size_t row = good;
  std::string text;
  while (row < index.size() && !stop) {
    const std::uint64_t begin = index.start(row);
    std::size_t last = row + 1;
    while (last < index.size() && index.end(last) - begin <= piece) ++last;
    file.read(begin, index.end(last - 1), text);
    for (; row < last; ++row) {
      const std::string_view own(text.data() + (index.start(row) - begin), index.end(row) - index.start(row));
      checker.check(trimmed(own, row), [&] { return place(row); });
    }
    good = row;
  }
}

void Dataset::State::finish(std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex);
    failure = std::move(error);
    if (!failure) columns = checker.columns();
    done = true;
  }
  changed.notify_all();
}

void Dataset::State::wait() const {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return done.load(); });
  if (failure) std::rethrow_exception(failure);
}

Place Dataset::State::place(std::size_t row) const {
  Place at = index.block_of(row);
  at.advance(file.read(at.offset, index.start(row)));
  return at;
}

Dataset::Dataset(std::shared_ptr<const State> state) : state_(std::move(state)) {}

std::int64_t Dataset::size() const { return static_cast<std::int64_t>(state_->index.size()); }
const std::filesystem::path& Dataset::path() const { return state_->path; }
void Dataset::wait_checked() const { state_->wait(); }

const std::vector<Column>& Dataset::columns() const {
  state_->wait();
  return state_->columns;
}

void Dataset::check() const {
  if (state_->done) state_->wait();
}

std::string Dataset::text(std::int64_t row) const {
  if (row < 0 || row >= size())
    throw Error(state_->file.name() + ": row " + std::to_string(row) + " of " + std::to_string(size()) +
                " does not exist");
  const auto i = static_cast<std::size_t>(row);
  std::string text = state_->file.read(state_->index.start(i), state_->index.end(i));
  text.resize(state_->trimmed(text, i).size());
  return text;
}

Record Dataset::row(std::int64_t row) const {
  const std::string own = text(row);
  const auto i = static_cast<std::size_t>(row);
  if (i >= state_->good) RowChecker(state_->file.name(), state_->options).check(own, [&] { return state_->place(i); });
  Record record = Record::parse(own, nullptr, false);
  if (!record.is_object())
    throw Error(where(row) + ": has changed since it was opened; a dataset must not change in a run");
  return record;
}

std::string Dataset::where(std::int64_t row) const {
  return state_->file.name() + ":" + std::to_string(state_->place(static_cast<std::size_t>(row)).line);
}

}  // namespace grpo::data
