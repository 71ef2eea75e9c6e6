"""Reads event files that event_writer has made with the tensorboard package. Usage: read_tensorboard.py WRITER"""

import pathlib
import subprocess
import sys
import tempfile

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util
except ImportError as e:
    print(f"skipped: {sys.executable} has no tensorboard ({e}); GRPO_PYTHON names an interpreter that has")
    sys.exit(77)

with tempfile.TemporaryDirectory() as folder:
    # Steps 1 to 5, then the run goes on from step 3: steps 4 to 8.
    subprocess.run([sys.argv[1], folder, "1", "5", "1.0"], check=True)
    subprocess.run([sys.argv[1], folder, "4", "8", "2.0"], check=True)
    assert len(list(pathlib.Path(folder).iterdir())) == 2
    board = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
    board.Reload()
    tags = board.Tags()
    # tensorboard turns simple values into tensors of its scalar plugin in some versions.
    if "reward" in tags["scalars"]:
        curve = [(e.step, e.value) for e in board.Scalars("reward")]
    else:
        curve = [(e.step, float(tensor_util.make_ndarray(e.tensor_proto))) for e in board.Tensors("reward")]
    expected = [(s, s * 1.0) for s in (1, 2, 3)] + [(s, s * 2.0) for s in (4, 5, 6, 7, 8)]
    assert curve == expected, f"the curve zigzags: {curve}"
    assert "nothing" not in tags["scalars"] + tags["tensors"]
    text = tensor_util.make_ndarray(board.Tensors("config")[0].tensor_proto)
    assert b"seed: 7" in text[0], text
    plugin = board.SummaryMetadata("config").plugin_data.plugin_name
    assert plugin == "text", plugin
    assert board.FirstEventTimestamp() > 1.6e9
print("read by tensorboard: scalars, a resumed run, texts")
