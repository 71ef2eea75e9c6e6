"""Advantages and objectives on NumPy's arrays."""
import unittest

import grpo
import numpy as np


class Arrays(unittest.TestCase):
    def setUp(self):
        random = np.random.default_rng(7)
        self.logp = random.normal(-1, 0.3, (4, 6)).astype(np.float32)
        self.old = (self.logp + random.normal(0, 0.2, (4, 6))).astype(np.float32)
        self.ref = (self.logp + random.normal(0, 0.2, (4, 6))).astype(np.float32)
        self.mask = np.array([[1] * 6, [1] * 3 + [0] * 3, [1] * 6, [1] + [0] * 5], dtype=bool)
        self.advantages = np.array([1.0, -0.5, 0.25, -2.0])

    def formula(self):
        """GRPO's clipped loss with a k3 penalty of weight 0.1 (not times the ratio), token mean, in NumPy."""
        logp, old, ref = (a.astype(np.float64) for a in (self.logp, self.old, self.ref))
        ratio, a = np.exp(logp - old), self.advantages[:, None]
        policy = -np.minimum(ratio * a, np.clip(ratio, 0.8, 1.28) * a)
        d = ref - logp
        return ((policy + 0.1 * (np.exp(d) - d - 1)) * self.mask).sum() / self.mask.sum()

    def test_objective_is_the_formula(self):
        objective = grpo.Objective(clip_low=0.2, clip_high=0.28, kl_coefficient=0.1, kl_bias_correction=False)
        arrays = dict(old=self.old, ref=self.ref, mask=self.mask)
        result = objective(self.logp, self.advantages, **arrays)
        self.assertAlmostEqual(result.loss, self.formula(), places=6)
        self.assertEqual((result.dlogprob.dtype, result.dlogprob.shape), (np.float32, (4, 6)))
        self.assertTrue((result.dlogprob[~self.mask] == 0).all())
        start = self.logp.copy()
        for i, t in ((0, 0), (1, 2), (3, 0)):
            values = []
            for h in (1e-3, -1e-3):
                self.logp = start.copy()
                self.logp[i, t] += h
                values.append(self.formula())
            self.assertAlmostEqual((values[0] - values[1]) / 2e-3, float(result.dlogprob[i, t]), places=3)

    def test_flat_and_double(self):
        start = np.array([0, 6, 12, 18, 24])
        flat = grpo.objective(self.logp.ravel(), self.advantages, old=self.old.ravel(), mask=self.mask.ravel(), start=start)
        square = grpo.objective(self.logp.astype(np.float64), self.advantages, old=self.old.astype(np.float64),
                                mask=self.mask)
        self.assertAlmostEqual(flat.loss, square.loss, places=6)
        self.assertEqual(square.dlogprob.dtype, np.float64)
        np.testing.assert_allclose(flat.dlogprob.reshape(4, 6), square.dlogprob, atol=1e-6)

    def test_the_callers_array_is_written_in_place(self):
        out = np.full((4, 6), 9, dtype=np.float32)
        result = grpo.objective(self.logp, self.advantages, mask=self.mask, out=out)
        self.assertIs(result.dlogprob, out)
        self.assertTrue((out[~self.mask] == 0).all() and (out[self.mask] != 0).all())
        for wrong in (np.empty((4, 6)), np.empty((4, 12), dtype=np.float32)[:, ::2], np.empty(3, dtype=np.float32)):
            with self.assertRaisesRegex(ValueError, "contiguous array in the type and size"):
                grpo.objective(self.logp, self.advantages, mask=self.mask, out=wrong)

    def test_no_copies_where_none_are_needed(self):
        from grpo._arrays import view
        self.assertEqual(view(self.logp, "fd").address, self.logp.ctypes.data)
        self.assertEqual(view(self.logp.astype(np.float16), "fd").typecode, "f")
        self.assertNotEqual(view(self.logp[:, ::2], "fd").address, self.logp.ctypes.data)

    def test_advantages(self):
        rewards = np.array([1, 0, 0, np.nan, 2, 2, 5, 1], dtype=np.float32)
        got = grpo.advantages(rewards, 4)
        self.assertEqual((got.dtype, got.shape), (np.float64, (8,)))
        group = np.array([1, 0, 0])
        np.testing.assert_allclose(got[:3], (group - group.mean()) / (group.std(ddof=1) + 1e-4))
        self.assertEqual(got[3], 0)
        np.testing.assert_allclose(grpo.advantages(rewards[4:].reshape(2, 2), 2, kind="none"), [[0, 0], [2, -2]])
        np.testing.assert_allclose(grpo.advantages(np.array([1.0, 4, 2, 5]), 2, kind="rloo"), [-3, 3, -3, 3])
        best = grpo.advantages(np.array([1.0, 4, 2]), 3, kind="passk", epsilon=0)
        np.testing.assert_allclose(best, [0, 2 / np.array([1.0, 4, 2]).std(ddof=1), 0])
        whitened = grpo.advantages(np.array([1.0, 4, 2, 5]), 2, kind="reinforce_plus_plus")
        self.assertAlmostEqual(whitened.std(ddof=1), 1, 6)
        with self.assertRaisesRegex(Exception, "gdpo normalises every reward by itself"):
            grpo.advantages(np.array([1.0, 4]), 2, kind="gdpo")

    def test_columns_of_numpy_reach_a_reward(self):
        reward = grpo.Reward("math")
        self.assertEqual(reward(data_source="x", solution_str="#### 4", ground_truth=np.str_("4"),
                                extra_info={"index": np.int64(3), "list": np.arange(2)}), 1)
        scores = reward.score(["#### 4"], ground_truth=["4"], completion_ids=[np.array([1, 2])])
        self.assertEqual(scores.scores, [1])


if __name__ == "__main__":
    unittest.main()
