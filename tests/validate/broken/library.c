/* Libraries that are wrong, each in the way that BROKEN_... says; what they hold is a sound reward. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "../../faults/broken.h"

static const grpo_component component = {sizeof component, 0, GRPO_REWARD_ID, "broken", &broken_table};
static const grpo_component* const list[] = {&component};

/* clang-format off */
#if defined BROKEN_VERSION
GRPO_MANIFEST({"name": "broken", "version": "", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "broken"}]});
#elif defined BROKEN_NAME
GRPO_MANIFEST({"name": "broken", "version": "1", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "another"}]});
#elif defined BROKEN_QUIRKS
GRPO_MANIFEST({"name": "broken", "version": "1", "licence": "MIT", "later": {"keys": "are legal"},
               "components": [{"interface": "grpo.reward/1", "name": "broken", "later": 1,
                               "quirks": {"reward.order": "it looks at its place in the batch"},
                               "options": {"key": {"type": "string", "required": true}}}]});
#elif defined BROKEN_QUIRK_NAME
GRPO_MANIFEST({"name": "broken", "version": "1", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "broken", "quirks": {"reward.ordre": "?"}}]});
#elif defined BROKEN_SIZE
/* Three thousand components, a kilobyte of JSON after the other. */
#define ONE(n) "{\"interface\": \"grpo.reward/1\", \"name\": \"c" #n "\"}"
#define TEN(n) ONE(n##0) "," ONE(n##1) "," ONE(n##2) "," ONE(n##3) "," ONE(n##4) "," ONE(n##5) "," ONE(n##6) "," ONE(n##7)
#define DOCUMENT(n) "GRPO1 {\"name\": \"broken\", \"version\": \"1\", \"licence\": \"MIT\", \"components\": [" TEN(n##1) "," \
  TEN(n##2) "," TEN(n##3) "," TEN(n##4) "]}\0"
#define MANY(n) DOCUMENT(n##0) DOCUMENT(n##1) DOCUMENT(n##2) DOCUMENT(n##3) DOCUMENT(n##4) DOCUMENT(n##5) DOCUMENT(n##6)
__attribute__((section(".grpo.manifest"), used GRPO_RETAIN_, aligned(1))) static const char many[] =
    MANY(a) MANY(b) MANY(c) MANY(d) MANY(e) MANY(f) MANY(g) MANY(h) MANY(i) MANY(j) MANY(k) MANY(l);
#else
GRPO_MANIFEST({"name": "broken", "version": "1", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "broken"}]});
#endif
/* clang-format on */

#ifdef BROKEN_SYMBOLS /* built without the version script */
__attribute__((visibility("default"))) int a_helper_that_leaks(void) { return 1; }
#endif

#ifdef BROKEN_ROUNDING
#ifdef __SSE__
__attribute__((constructor)) static void start(void) { _mm_setcsr(_mm_getcsr() | 0x8040); } /* as -ffast-math does */
#else
__attribute__((constructor)) static void start(void) { signal(SIGUSR1, SIG_IGN); }
#endif
#endif
#ifdef BROKEN_SIGNAL
__attribute__((constructor)) static void start(void) { signal(SIGINT, SIG_IGN); }
#endif
#ifdef BROKEN_END
__attribute__((destructor)) static void end(void) { abort(); }
#endif

#ifdef BROKEN_REFUSAL
GRPO_EXPORT const grpo_plugin* grpo_plugin_entry(const grpo_host* host) {
  static const grpo_plugin plugin = {sizeof(grpo_plugin), GRPO_HEADER_REVISION, GRPO_ABI, 1, list};
  return host->abi_max == GRPO_ABI ? &plugin : NULL; /* without a reason */
}
#else
GRPO_PLUGIN(list);
#endif
