/* train: a run of grpo-host, step by step. Usage: train CONFIG.yaml PLUGIN_DIRECTORY... */
#include <grpo/embed.h>
#include <stdio.h>

int main(int argc, char** argv) {
  char text[4096];
  grpo_embed_error error = {text, sizeof text, 0};
  if (argc < 3) return fprintf(stderr, "usage: %s CONFIG.yaml PLUGIN_DIRECTORY...\n", argv[0]), 2;

  grpo_embed_trainer* trainer = NULL;
  const grpo_embed_trainer_wanted wanted = {.struct_size = sizeof wanted,
                                            .config_path = argv[1],
                                            .places = (const char* const*)argv + 2,
                                            .n_places = argc - 2};
  if (grpo_embed_trainer_open(&wanted, &trainer, &error)) return fprintf(stderr, "%s\n", text), 1;

  grpo_embed_text metrics, path;
  grpo_status status;
  while ((status = grpo_embed_trainer_step(trainer, &metrics, &error)) == GRPO_STATUS_OK) {
    printf("%s\n", metrics.data); /* JSON: {"step": 1, "reward": 0.5, "loss": ...} */
    grpo_embed_free(metrics.owner);
  }
  if (status == GRPO_STATUS_END) status = grpo_embed_trainer_save(trainer, &path, &error);
  if (status) {
    fprintf(stderr, "%s\n", text);
  } else {
    printf("saved %s\n", path.data);
    grpo_embed_free(path.owner);
  }
  grpo_embed_trainer_close(trainer);
  return status != 0;
}
