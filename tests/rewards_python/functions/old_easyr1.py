"""EasyR1 by its constants: the parameter may have any name."""
REWARD_NAME = "mine"
REWARD_TYPE = "sequential"


def compute_score(data, **kwargs):
    return {"overall": float(len(data["response"])), "given": kwargs.get("given", 0)}
