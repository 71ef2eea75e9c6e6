/* score: the reward `math` on two completions. Usage: score PLUGIN_DIRECTORY */
#include <grpo/embed.h>
#include <stdio.h>

int main(int argc, char** argv) {
  char text[4096];
  grpo_embed_error error = {text, sizeof text, 0};
  if (argc != 2) return fprintf(stderr, "usage: %s PLUGIN_DIRECTORY\n", argv[0]), 2;

  /* Directories of plugins, then a reward by its name, with options as JSON. */
  const char* const places[] = {argv[1]};
  grpo_embed_plugins* plugins = NULL;
  grpo_embed_reward* math = NULL;
  const grpo_embed_reward_wanted wanted = {
      .struct_size = sizeof wanted, .name = "math", .options = "{\"wrong\": -0.5}"};
  if (grpo_embed_plugins_open(places, 1, &plugins, &error) || grpo_embed_reward_open(plugins, &wanted, &math, &error))
    return fprintf(stderr, "%s\n", text), 1;

  /* Texts lie packed, with where each begins. One record, two completions of it. */
  const char said[] = "so it is \\boxed{\\frac{3}{4}}perhaps \\boxed{2/3}";
  const int64_t said_start[] = {0, 28, 47}, truth_start[] = {0, 4};
  const grpo_embed_texts completion = {2, said, said_start, NULL}, truth = {1, "0.75", truth_start, NULL};
  const grpo_embed_batch batch = {
      .struct_size = sizeof batch, .n_rows = 1, .n_samples = 2, .completion = &completion, .ground_truth = &truth};

  /* Scores go into arrays of ours; what the library makes, it gets back. */
  double score[2];
  int32_t status[2];
  grpo_embed_texts message = {0};
  const grpo_embed_scores scores = {
      .struct_size = sizeof scores, .score = score, .status = status, .message = &message};
  if (grpo_embed_reward_score(math, &batch, &scores, &error)) return fprintf(stderr, "%s\n", text), 1;
  for (int i = 0; i < 2; ++i)
    printf("%g (status %d) %.*s\n", score[i], (int)status[i], (int)(message.start[i + 1] - message.start[i]),
           message.data + message.start[i]);

  grpo_embed_free(message.owner);
  grpo_embed_reward_close(math);
  grpo_embed_plugins_close(plugins);
  return 0;
}
