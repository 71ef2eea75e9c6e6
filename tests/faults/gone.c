/* A library that is gone when the plugin which needs it is loaded. */
int grpo_gone(void);
int grpo_gone(void) { return 1; }
