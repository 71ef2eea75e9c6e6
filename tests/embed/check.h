/* check.h: what the parts of the test share. */
#ifndef GRPO_TESTS_EMBED_CHECK_H
#define GRPO_TESTS_EMBED_CHECK_H

#include <grpo/embed.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int checks, failures;
extern grpo_embed_error error; /* with room for texts */

#define CHECK(condition)                                                                                    \
  do {                                                                                                      \
    ++checks;                                                                                               \
    if (!(condition)) {                                                                                     \
      ++failures;                                                                                           \
      fprintf(stderr, "%s:%d: not so: %s\n  last error: %s\n", __FILE__, __LINE__, #condition, error.text); \
    }                                                                                                       \
  } while (0)
/* The call succeeds; without it there is no going on. */
#define NEED(call)                                                                                     \
  do {                                                                                                 \
    const grpo_status need_status = (call);                                                            \
    ++checks;                                                                                          \
    if (need_status != GRPO_STATUS_OK) {                                                               \
      fprintf(stderr, "%s:%d: %s: %d, %s\n", __FILE__, __LINE__, #call, (int)need_status, error.text); \
      exit(1);                                                                                         \
    }                                                                                                  \
  } while (0)
/* The call fails with this status, and its text holds that. */
#define FAILS(call, status, part)                                                                                   \
  do {                                                                                                              \
    const grpo_status fails_status = (call);                                                                        \
    ++checks;                                                                                                       \
    if (fails_status != (status) || !strstr(error.text, part) || error.size == 0) {                                 \
      ++failures;                                                                                                   \
      fprintf(stderr, "%s:%d: %s: %d, %s; expected %s\n", __FILE__, __LINE__, #call, (int)fails_status, error.text, \
              part);                                                                                                \
    }                                                                                                               \
  } while (0)

/* Packed texts of string literals; starts [n + 1] and data are the caller's. */
grpo_embed_texts texts_of(int64_t n, const char* const* texts, char* data, int64_t* start);
/* Whether text i is this. */
int is_text(const grpo_embed_texts* texts, int64_t i, const char* expected);

void test_rewards(const char* plugins, const char* moody);
void test_algorithm(void);
void test_text(const char* model);
void test_trainer(const char* plugins, const char* fake_model, const char* model, const char* scratch);

#endif
