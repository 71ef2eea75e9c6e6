# How a function of the user's is called, in the manner of the trainer that it was written for.
#
#   easyr1  sequential f(reward_input) and batch f(reward_inputs): dicts with response, response_length, ground_truth
#   trl     f(prompts, completions, completion_ids, **columns): a list of numbers or None
#   verl    f(data_source, solution_str, ground_truth, extra_info), or all of these in the plural
#
# A style makes arguments; what comes back is read the same for all of them (results.py).
import inspect
from types import SimpleNamespace

STYLES = ("easyr1", "trl", "verl")
TRUTH_NAMES = ("ground_truth", "answer", "solution", "target", "gold", "label")
HOW = """    EasyR1  f(reward_input) or f(reward_inputs), or REWARD_TYPE in the file
    TRL     f(prompts, completions, **kwargs)
    verl    f(data_source, solution_str, ground_truth, extra_info=None)"""


class Refused(Exception):
    """What the user named cannot be used; the text says why and the way out."""


def named_parameters(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        raise Refused("its signature cannot be read; wrap it in a function of Python") from None


def style_of(parameters, module):
    """(style, whether it takes a batch), or None where the parameters tell nothing."""
    kind = getattr(module, "REWARD_TYPE", None)
    if kind in ("batch", "sequential"):
        return "easyr1", kind == "batch"
    if "reward_inputs" in parameters or "reward_input" in parameters:
        return "easyr1", "reward_inputs" in parameters
    if "solution_strs" in parameters or "data_sources" in parameters:
        return "verl", True
    if "solution_str" in parameters or "data_source" in parameters:
        return "verl", False
    if {"completions", "prompts", "completion_ids"} & set(parameters):
        return "trl", True
    return None


def batch_by_name(style, parameters, module):
    """Whether it takes a batch, where the style is told and the parameters have names of their own."""
    known = style_of(parameters, module)
    if known and known[0] == style:
        return known[1]
    return style == "trl"


class Plan:
    """One function, ready to be called."""

    def __init__(self, function, module, style, kwargs, conversational):
        self.function, self.kwargs, self.conversational = function, kwargs, conversational
        parameters = named_parameters(function)
        if style == "auto":
            known = style_of(parameters, module)
            if known is None:
                names = ", ".join(parameters) or "none"
                raise Refused(f"its parameters ({names}) are of no known style:\n{HOW}\n"
                              "    if it is one of them in other words, say which with the option `style`")
            self.style, self.batch = known
        else:
            self.style, self.batch = style, batch_by_name(style, parameters, module)
        kinds = {p.kind for p in parameters.values()}
        self.open_ended = inspect.Parameter.VAR_KEYWORD in kinds
        self.by_name = {n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        self.required = {n for n in self.by_name if parameters[n].default is inspect.Parameter.empty}
        unknown = [] if self.open_ended else sorted(set(kwargs) - self.by_name)
        if unknown:
            raise Refused(f"it has no parameter `{unknown[0]}`, which the option `kwargs` gives; it has: "
                          + ", ".join(parameters))
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None))
        self.metrics = {}

    @property
    def wants_ids(self):
        return self.style == "trl" and (self.open_ended or bool(self.by_name & {"completion_ids", "prompt_ids"}))

    def calls(self, request):
        """The (args, kwargs) of each call: one for a batch, else one for each sample."""
        return getattr(self, self.style)(request)

    # ---- EasyR1

    def easyr1(self, request):
        inputs = [self.reward_input(request, i) for i in range(len(request))]
        if self.batch:
            return [((inputs,), self.kwargs)]
        return [((one,), self.kwargs) for one in inputs]

    @staticmethod
    def reward_input(request, i):
        out = {"response": request.completion[i], "ground_truth": request.truth(i)}
        columns = request.columns_of(i)
        length = request.completion_length[i]
        if length or not request.completion[i]:  # else nobody has told the tokens: better no length than a wrong one
            out["response_length"] = length
        elif "response_length" in columns:
            out["response_length"] = columns["response_length"]
        return out

    # ---- verl

    def verl(self, request):
        ones = [self.verl_arguments(request, i) for i in range(len(request))]
        if not self.batch:
            return [((), self.only_known({**one, **self.kwargs})) for one in ones]
        plural = {"data_source": "data_sources", "solution_str": "solution_strs", "ground_truth": "ground_truths",
                  "extra_info": "extra_infos"}
        lists = {many: [one[name] for one in ones] for name, many in plural.items()}
        return [((), self.only_known({**lists, **self.kwargs}))]

    @staticmethod
    def verl_arguments(request, i):
        columns = request.columns_of(i)
        truth, model = request.truth(i), columns.get("reward_model")
        if not truth and isinstance(model, dict):
            truth = model.get("ground_truth", truth)
        return {"data_source": columns.get("data_source"), "solution_str": request.completion[i], "ground_truth": truth,
                "extra_info": columns["extra_info"] if "extra_info" in columns else columns}

    # ---- TRL

    def trl(self, request):
        everything = request.column_lists(leave_out=("prompt", "completion", "completion_ids"))
        truths = [request.truth(i) for i in range(len(request))]
        for name in TRUTH_NAMES:
            if name in self.required and name not in everything:
                everything[name] = truths
        pairs = [self.conversation(request, i) for i in range(len(request))]
        everything.update(
            prompts=[p for p, _ in pairs], completions=[c for _, c in pairs], completion_ids=request.completion_ids,
            trainer_state=SimpleNamespace(global_step=max(0, request.step - 1), epoch=None, max_steps=-1, log_history=[]),
            log_metric=self.log_metric, log_extra=lambda column, values: None)
        if "prompt_ids" in self.by_name:
            everything["prompt_ids"] = request.prompt_ids
        everything.update(self.kwargs)
        return [((), self.only_known(everything))]

    def conversation(self, request, i):
        messages, text = request.messages(i), request.completion[i]
        if self.conversational == "never" or (self.conversational == "auto" and not messages):
            return request.prompt(i), text
        return (messages or [{"role": "user", "content": request.prompt(i)}],
                [{"role": "assistant", "content": text}])

    def log_metric(self, name, value):
        self.metrics.setdefault(str(name), []).append(float(value))

    # ----

    def only_known(self, arguments):
        if not self.open_ended:
            arguments = {name: value for name, value in arguments.items() if name in self.by_name}
        missing = sorted(self.required - set(arguments))
        if missing:
            raise TypeError(f"the parameter `{missing[0]}` gets nothing: there is no such column, nor is it in `kwargs`")
        return arguments
