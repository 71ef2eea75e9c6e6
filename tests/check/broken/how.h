/* how.h: a broken plugin breaks one rule, the one that its option `how` names. */
#ifndef GRPO_TESTS_CHECK_HOW_H
#define GRPO_TESTS_CHECK_HOW_H

#include <grpo/plugin.h>
#include <string.h>

typedef struct {
  char rule[48];
} how;

static inline how how_of(const grpo_options* options) {
  how h = {{0}};
  grpo_str text = {"", 0};
  options->text(options, "how", &text);
  strncpy(h.rule, text.data, sizeof h.rule - 1);
  return h;
}

/* Is this the rule to break? */
#define HOW(name) (strcmp(self->how.rule, name) == 0)

#endif
