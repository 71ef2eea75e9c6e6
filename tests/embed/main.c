/* Everything that grpo/embed.h offers, from C11. Usage: embed_c PLUGINS MOODY.so FAKE_MODEL.so MODEL_DIRECTORY SCRATCH
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>

#include "check.h"

int checks, failures;
static char error_text[4096];
grpo_embed_error error = {error_text, sizeof error_text, 0};

grpo_embed_texts texts_of(int64_t n, const char* const* texts, char* data, int64_t* start) {
  const grpo_embed_texts packed = {n, data, start, NULL};
  start[0] = 0;
  for (int64_t i = 0; i < n; ++i) {
    const size_t size = strlen(texts[i]);
    memcpy(data + start[i], texts[i], size);
    start[i + 1] = start[i] + (int64_t)size;
  }
  return packed;
}

int is_text(const grpo_embed_texts* texts, int64_t i, const char* expected) {
  const int64_t size = texts->start[i + 1] - texts->start[i];
  return i < texts->n && size == (int64_t)strlen(expected) &&
         !memcmp(texts->data + texts->start[i], expected, (size_t)size);
}

static void test_library(void) {
  CHECK(strchr(grpo_embed_version(), '.') != NULL);
  CHECK(grpo_embed_header_revision() == GRPO_HEADER_REVISION);
  grpo_embed_free(NULL);
  grpo_embed_set_log_level(GRPO_LOG_ERROR);
}

/* A text that does not fit is cut at a character, ends with a 0, and its whole size is told. */
static void test_errors(void) {
  char small[8];
  grpo_embed_error cut = {small, sizeof small, 0};
  grpo_embed_tokenizer* tokenizer = NULL;
  CHECK(grpo_embed_tokenizer_open("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", &tokenizer, &cut) == GRPO_STATUS_FAILED);
  CHECK(cut.size > 8 && strlen(small) < sizeof small);
  CHECK(((unsigned char)small[strlen(small) - 1] & 0xC0) != 0xC0);
  cut.room = 0;
  CHECK(grpo_embed_tokenizer_open("none", &tokenizer, &cut) == GRPO_STATUS_FAILED && cut.size > 0);
  CHECK(grpo_embed_tokenizer_open("none", &tokenizer, NULL) == GRPO_STATUS_FAILED && tokenizer == NULL);
  FAILS(grpo_embed_tokenizer_open(NULL, &tokenizer, &error), GRPO_STATUS_INVALID, "path is NULL");
  FAILS(grpo_embed_tokenizer_open("none", NULL, &error), GRPO_STATUS_INVALID, "tokenizer is NULL");
}

/* What a program does at a crash is its own: the library leaves every handler as it was, SIGSEGV's only unchecked. */
enum { n_crashes = 5 };
static struct sigaction handlers[n_crashes];
static void note_handlers(struct sigaction* now) {
  const int crashes[n_crashes] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
  for (int i = 0; i < n_crashes; ++i) CHECK(sigaction(crashes[i], NULL, &now[i]) == 0);
}
/* Does the checking layer stand before plugins? It takes SIGSEGV, to see memory that a plugin kept (docs/checks.md). */
static int is_checked(void) {
  const char* said = getenv("GRPO_CHECK_PLUGINS");
  if (said && *said) return strcmp(said, "0") != 0;
#ifdef NDEBUG
  return 0;
#else
  return 1; /* builds with assertions, those under the sanitizers among them */
#endif
}
static void test_handlers(void) {
  struct sigaction now[n_crashes];
  note_handlers(now);
  CHECK((now[0].sa_handler == handlers[0].sa_handler) != is_checked());
  for (int i = 1; i < n_crashes; ++i) CHECK(now[i].sa_handler == handlers[i].sa_handler);
}

int main(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: %s PLUGINS MOODY.so FAKE_MODEL.so MODEL_DIRECTORY SCRATCH\n", argv[0]);
    return 2;
  }
  note_handlers(handlers);
  test_library();
  test_errors();
  test_text(argv[4]);
  test_algorithm();
  test_rewards(argv[1], argv[2]);
  test_trainer(argv[1], argv[3], argv[4], argv[5]);
  test_handlers();
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
