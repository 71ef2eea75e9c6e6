"""A reward plugin as the metric of a task of lm-evaluation-harness."""
import grpo

process_results = grpo.Reward("math", options={"last_number": True}, label="accuracy", missing=0.0).process_results
