"""Torch's tensors, and the objectives as losses."""
import unittest

import grpo
import grpo.torch
import torch


class Tensors(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)
        self.logp = torch.randn(3, 5) * 0.3 - 1
        self.old = self.logp + torch.randn(3, 5) * 0.2
        self.mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
        self.advantages = torch.tensor([1.0, -0.5, 0.25])

    def test_no_copies_where_none_are_needed(self):
        from grpo._arrays import view
        self.assertEqual(view(self.logp, "fd").address, self.logp.data_ptr())
        result = grpo.objective(self.logp.requires_grad_(), self.advantages, old=self.old, mask=self.mask)
        self.assertEqual((result.dlogprob.dtype, tuple(result.dlogprob.shape)), (torch.float32, (3, 5)))
        out = torch.full((3, 5), 9.0)
        self.assertIs(grpo.objective(self.logp, self.advantages, old=self.old, mask=self.mask, out=out).dlogprob, out)
        self.assertTrue(torch.equal(out, result.dlogprob))
        half = grpo.objective(self.logp.to(torch.bfloat16), self.advantages, mask=self.mask)
        self.assertEqual(half.dlogprob.dtype, torch.float32)

    def test_a_loss_that_torch_differentiates(self):
        """The gradient of a small computation, through ours and through torch's own formula."""
        weight = torch.ones(5, requires_grad=True)

        def grads(loss_of):
            weight.grad = None
            loss = loss_of(self.logp * weight)
            (2 * loss).backward()
            return loss.item(), weight.grad.clone()

        def formula(logp):
            ratio, a = torch.exp(logp - self.old), self.advantages[:, None]
            policy = -torch.minimum(ratio * a, ratio.clamp(0.8, 1.28) * a)
            return (policy * self.mask).sum() / self.mask.sum()

        ours = grpo.torch.Objective(objective="dapo", clip_high=0.28)
        got, expected = grads(lambda l: ours(l, self.advantages, old=self.old, mask=self.mask)), grads(formula)
        self.assertAlmostEqual(got[0], expected[0], places=6)
        self.assertTrue(torch.allclose(got[1], expected[1], atol=1e-6))
        self.assertIn("ratio/mean", ours.metrics)

    def test_advantages(self):
        got = grpo.advantages(torch.tensor([1.0, 0.0, 0.0, 1.0]), 2, kind="none")
        self.assertTrue(torch.equal(got, torch.tensor([0.5, -0.5, -0.5, 0.5], dtype=torch.float64)))


if __name__ == "__main__":
    unittest.main()
