"""A reward plugin in verl: custom_reward_function.path=verl_reward.py custom_reward_function.name=compute_score"""
import grpo

compute_score = grpo.Reward("math", options={"wrong": -0.5}, missing=0.0)
