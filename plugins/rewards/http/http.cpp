// rewards/http: a service decides. A batch is posted as JSON and answered with its scores.
//
// docs/http-reward.md has the form of both, and a service in 20 lines.
#include <grpo/reward.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client.hpp"
#include "expand.hpp"
#include "formats.hpp"

GRPO_MANIFEST({
  "name": "reward_http", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "http", "options": {
    "url": {"type": "string", "required": true,
      "description": "address of the service, http:// or https://; ${NAME} is the environment variable"},
    "headers": {"type": "object", "default": {},
      "description": "more headers, such as {Authorization: Bearer ${TOKEN}}"},
    "format": {"type": "string", "default": "grpo", "enum": ["grpo", "openrlhf", "slime"],
      "description": "of the request: grpo has everything; openrlhf and slime are what services for these expect"},
    "columns": {"type": "boolean", "default": true, "description": "format grpo: send the columns of the data too"},
    "batch_size": {"type": "integer", "default": 0, "minimum": 0,
      "description": "most samples in a request; 0: all of a call. slime: always 1"},
    "max_concurrency": {"type": "integer", "default": 16, "minimum": 1, "maximum": 1024,
      "description": "most requests under way at once"},
    "timeout": {"type": "number", "default": 30, "minimum": 0.1, "description": "seconds that an attempt may take"},
    "retries": {"type": "integer", "default": 3, "minimum": 0,
      "description": "attempts after the first, when there is no answer or it is HTTP 408, 425, 429 or 5xx"},
    "retry_delay": {"type": "number", "default": 0.5, "minimum": 0, "maximum": 30,
      "description": "seconds before the first of them; doubles each time, 30 at most"},
    "max_response_mib": {"type": "number", "default": 64, "minimum": 0.001,
      "description": "an answer that is larger is an error"},
    "ca_file": {"type": "string", "format": "path", "default": "",
      "description": "certificates to trust, PEM; empty: the system's"}}}]
});

namespace {

grpo_http::Format format_of(std::string_view name) {
  return name == "slime"      ? grpo_http::Format::slime
         : name == "openrlhf" ? grpo_http::Format::openrlhf
                              : grpo_http::Format::grpo;
}

std::vector<std::string> headers_of(std::string_view text) {
  std::vector<std::string> out;
  const auto headers = nlohmann::json::parse(text);
  for (const auto& [name, value] : headers.items()) {
    if (!value.is_string())
      throw grpo::failure(GRPO_STATUS_INVALID, "the option headers." + name + " is no text: " + value.dump());
    const std::string line = grpo_http::expanded(value.get<std::string>(), "headers." + name);
    if (name.empty() || name.find_first_of(":\r\n \t") != name.npos ||
        line.find_first_of(std::string("\r\n\0", 3)) != line.npos)
      throw grpo::failure(GRPO_STATUS_INVALID, "the option headers." + name +
                                                   " cannot be a header: a name without colon "
                                                   "or space, and a value on one line");
    out.push_back(line.empty() ? name + ";" : name + ": " + line);
  }
  return out;
}

grpo_http::ClientSettings settings_of(const grpo::options& o) {
  grpo_http::ClientSettings s;
  s.url = grpo_http::expanded(std::string(o.text("url", "")), "url");
  if (!s.url.starts_with("http://") && !s.url.starts_with("https://"))
    throw grpo::failure(GRPO_STATUS_INVALID,
                        "the option url must begin with http:// or https://: " + std::string(o.text("url", "")));
  s.headers = headers_of(o.text("headers", "{}"));
  s.ca_file = o.text("ca_file", "");
  s.timeout = std::min(o.number("timeout", 30, 0.1, 1e300), 1e6);
  s.retries = o.integer("retries", 3, 0, INT64_MAX);
  s.retry_delay = o.number("retry_delay", 0.5, 0, 30);
  s.max_concurrency = static_cast<std::size_t>(o.integer("max_concurrency", 16, 1, 1024));
  s.max_response_mib = std::min(o.number("max_response_mib", 64, 0.001, 1e300), 1e6);
  return s;
}

struct http {
  explicit http(grpo::options o)
      : client(std::make_unique<grpo_http::Client>(settings_of(o))),
        format(format_of(o.text("format", "grpo", {"grpo", "openrlhf", "slime"}))),
        columns(o.boolean("columns", true)),
        most(static_cast<std::size_t>(o.integer("batch_size", 0, 0, INT64_MAX))),
        url(o.text("url", "")) {
    if (format == grpo_http::Format::slime) most = 1;
  }

  void operator()(const grpo::batch& batch) const {
    const std::size_t piece = most ? most : std::max<std::size_t>(batch.size(), 1);
    std::vector<std::string> bodies;
    for (std::size_t at = 0; at < batch.size(); at += std::min(piece, batch.size() - at))
      bodies.push_back(grpo_http::body_of(*batch.raw(), at, at + std::min(piece, batch.size() - at), format, columns));
    client->post(bodies, batch.call(), [&](std::size_t i, const grpo_http::Reply& reply) {
      fill(batch, i * piece, std::min(batch.size(), i * piece + std::min(piece, batch.size())), reply);
    });
  }

  // The samples begin .. end - 1 from the reply to their request.
  void fill(const grpo::batch& batch, std::size_t begin, std::size_t end, const grpo_http::Reply& reply) const {
    const auto all = [&](const std::string& why, std::int32_t status) {
      for (std::size_t i = begin; i < end; ++i) batch.fail(i, url + ": " + why, status);
    };
    if (!reply.error.empty()) return all(reply.error, reply.timed_out ? GRPO_SAMPLE_TIMEOUT : GRPO_SAMPLE_ERROR);
    try {
      const auto results = grpo_http::results_of(reply.body, end - begin);
      for (std::size_t i = begin; i < end; ++i) {
        const auto& r = results[i - begin];
        for (const auto& [name, value] : r.components) batch[i].component(name.c_str(), value);
        if (!r.error.empty())
          batch.fail(i, url + ": " + r.error);
        else
          batch.set(i, r.score ? grpo::score(*r.score) : grpo::not_applicable);
      }
    } catch (const grpo::failure& e) {
      all(e.what(), GRPO_SAMPLE_ERROR);
    }
  }

  std::unique_ptr<grpo_http::Client> client;
  grpo_http::Format format;
  bool columns;
  std::size_t most;
  std::string url;  // as it was written: without tokens
};

}  // namespace

GRPO_REWARD(http, "http");
