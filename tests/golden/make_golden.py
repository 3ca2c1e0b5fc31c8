#!/usr/bin/env python3
"""Writes ops.json: what PyTorch says about each operator of src/tensor.

For every case: inputs, integers (ids, spans, flags), the result y, the gradients of
sum(weights * y) with respect to each input. Computed in float64 with PyTorch's own functions
wherever it has them; tests/tensor/test_golden.c runs the same cases through our operators.

    pip install torch numpy        (made with torch 2.x on a CPU; the seed is fixed)
    python3 make_golden.py > ops.json      a second, about 26 kB, no download
"""
import json
import math

import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
cases = {}


def noise(*shape, size=1.0):
    """Inputs are rounded to what the file says, so that both sides start from the same numbers."""
    x = size * torch.randn(*shape)
    x.apply_(lambda v: float(f"{v:.4g}"))
    return x.requires_grad_()


def numbers(x):
    return [float(f"{v:.7g}") for v in x.detach().reshape(-1).tolist()]


def matrix(x):
    x = x.reshape(1, -1) if x.dim() < 2 else x
    return {"rows": x.shape[0], "cols": x.shape[1], "v": numbers(x)}


def case(name, make, ints=None, **inputs):
    y = make(**inputs)
    y = y.reshape(1, 1) if y.dim() == 0 else y
    weights = torch.randn(y.shape).apply_(lambda v: float(f"{v:.3g}"))
    (weights * y).sum().backward()
    cases[name] = {
        "in": {k: matrix(v) for k, v in inputs.items()},
        "ints": ints or {},
        "weights": numbers(weights),
        "y": matrix(y),
        "d": {k: numbers(v.grad) for k, v in inputs.items()},
    }


def flat(spans):
    return [v for span in spans for v in span]


def relu2(x):
    return F.relu(x) ** 2


# ---- elements, linear, norms ----
acts = {"relu": F.relu, "relu2": relu2, "gelu": F.gelu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
for name, act in acts.items():
    case(f"linear_{name}", lambda x, w, b, act=act: act(x @ w + b), x=noise(3, 4), w=noise(4, 5), b=noise(1, 5))
case("linear_t", lambda x, w: F.linear(x, w), x=noise(3, 4), w=noise(5, 4))
case("add_row", lambda x, y: x + y, x=noise(3, 4), y=noise(1, 4))
case("mul_factor", lambda x, y: x * y, x=noise(3, 4), y=noise(3, 1))
case("layer_norm", lambda x, gain, bias: F.layer_norm(x, (6,), gain[0], bias[0], 1e-5),
     x=noise(4, 6, size=3), gain=noise(1, 6), bias=noise(1, 6))
case("rms_norm", lambda x, gain: F.rms_norm(x, (6,), gain[0], 1e-6), x=noise(4, 6, size=3), gain=noise(1, 6))
case("normalize", lambda x: F.normalize(x, dim=-1), x=noise(3, 5))

# ---- tables and positions ----
ids = [2, 0, 2, 3]
case("embed", lambda table: F.embedding(torch.tensor(ids), table), {"ids": ids}, table=noise(4, 3))


def sinusoid(x, position):
    """As MLX's nn.SinusoidalPositionalEncoding with its defaults."""
    dims = x.shape[1]
    one_zero = 1 - torch.arange(0, dims // 2) / (dims // 2 - 1)
    sigmas = torch.exp(one_zero * (math.log(1.0) - math.log(0.0001)) + math.log(0.0001))
    turn = torch.tensor(position)[:, None] * sigmas
    return x + math.sqrt(2 / dims) * torch.cat([torch.sin(turn), torch.cos(turn)], -1)


def rotary(x, begin, end, width, position):
    """Pairs (x[i], x[i + width/2]) of a head as complex numbers, turned."""
    heads = x[:, begin:end].reshape(x.shape[0], -1, width)
    pairs = torch.complex(heads[..., : width // 2], heads[..., width // 2:])
    frequency = 10000.0 ** (-2 * torch.arange(width // 2) / width)
    turn = torch.tensor(position)[:, None, None] * frequency
    pairs = pairs * torch.polar(torch.ones_like(turn), turn)
    turned = torch.cat([pairs.real, pairs.imag], -1).reshape(x.shape[0], -1)
    return torch.cat([x[:, :begin], turned, x[:, end:]], -1)


position = [0, 1, 5, 63]
case("sinusoid", lambda x: sinusoid(x, position), {"position": position}, x=noise(4, 6))
case("rotary", lambda x: rotary(x, 1, 9, 4, position), {"position": position}, x=noise(4, 10))


# ---- attention and pooling ----
def attention(q, k, v, heads, q_spans, kv_spans, causal):
    out = torch.zeros_like(q)
    for (qb, qe), (kb, ke) in zip(q_spans, kv_spans):
        m, n = qe - qb, ke - kb
        if m == 0 or n == 0:
            continue

        def split(x):
            return x.reshape(x.shape[0], heads, -1).transpose(0, 1)

        seen = torch.ones(m, n, dtype=torch.bool).tril(n - m) if causal else None
        y = F.scaled_dot_product_attention(split(q[qb:qe]), split(k[kb:ke]), split(v[kb:ke]), seen)
        out[qb:qe] = y.transpose(0, 1).reshape(m, -1)
    return out


same = [[0, 3], [3, 4], [4, 7]]
q_spans, kv_spans = [[0, 2], [2, 3], [3, 5]], [[0, 4], [2, 6], [6, 6]]
steps, cache = [[0, 1], [1, 3]], [[0, 4], [4, 7]]
for name, heads, qs, ks, causal in (("attention_self", 2, same, same, False), ("attention_causal", 2, same, same, True),
                                    ("attention_cross", 1, q_spans, kv_spans, False),
                                    ("attention_cache", 2, steps, cache, True)):
    ints = {"q_spans": flat(qs), "kv_spans": flat(ks), "heads": [heads], "causal": [int(causal)]}
    case(name, lambda q, k, v: attention(q, k, v, heads, qs, ks, causal), ints,
         q=noise(qs[-1][1], 4), k=noise(7, 4), v=noise(7, 4))
case("pool_mean", lambda x: torch.stack([x[b:e].mean(0) for b, e in same]), {"spans": flat(same)}, x=noise(7, 3))
case("pool_sum", lambda x, w: torch.stack([(w[b:e] * x[b:e]).sum(0) for b, e in same]), {"spans": flat(same)},
     x=noise(7, 3), w=noise(7, 1))

# ---- losses ----
target = [1, -1, 4, 0]


def cross_entropy(x, e, cap=0):
    logits = x @ e.t()
    logits = cap * torch.tanh(logits / cap) if cap else logits
    return F.cross_entropy(logits, torch.tensor(target), ignore_index=-1)


case("cross_entropy", cross_entropy, {"target": target}, x=noise(4, 3), e=noise(5, 3))
case("cross_entropy_capped", lambda x, e: cross_entropy(x, e, 2), {"target": target}, x=noise(4, 3), e=noise(5, 3))

positive, masked = [1, 3, 0], [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1]


def contrastive(q, c, log_scale):
    s = (torch.exp(log_scale) * (q @ c.t())).masked_fill(torch.tensor(masked, dtype=torch.bool).view(3, 4), -math.inf)
    columns = s.t()[positive]
    return (F.cross_entropy(s, torch.tensor(positive)) + F.cross_entropy(columns, torch.arange(3))) / 2


case("contrastive", contrastive, {"positive": positive, "masked": masked},
     q=noise(3, 4), c=noise(4, 4), log_scale=noise(1, 1))

flags = [0, 1, 0, 1, 0]


def published(scores):
    log_p = torch.clamp(F.log_softmax(scores, -1), min=-18)
    share = torch.tensor(flags) / sum(flags)
    return -(share * log_p).mean()


case("published", published, {"flags": flags}, scores=noise(1, 5))


def marginal(scores):
    losses = []
    for b, e in ((0, 3), (3, 5)):
        p = F.softmax(scores[b:e, 0], 0)
        losses.append(-torch.log(p[torch.tensor(flags[b:e], dtype=torch.bool)].sum()))
    return sum(losses) / 2


case("marginal", marginal, {"flags": flags, "spans": [0, 3, 3, 5]}, scores=noise(5, 1))

rows, sources, source_id = [[0, 2], [2, 4]], [[0, 4], [2, 5]], [1, 0, 1, -1, 4]


def copy(x, e, gate, cq, ck):
    words, g = F.softmax(x @ e.t(), -1), torch.sigmoid(gate)
    loss, n = 0, 0
    for (rb, re), (sb, se) in zip(rows, sources):
        kept = [j for j in range(sb, se) if source_id[j] >= 0]
        c = F.softmax(cq[rb:re] @ ck[kept].t() / math.sqrt(cq.shape[1]), -1)
        for t in range(rb, re):
            if target[t] < 0:
                continue
            copied = sum((c[t - rb, k] for k, j in enumerate(kept) if source_id[j] == target[t]), torch.tensor(0.0))
            loss, n = loss - torch.log(g[t, 0] * words[t, target[t]] + (1 - g[t, 0]) * copied), n + 1
    return loss / n


case("copy", copy, {"target": target, "q_spans": flat(rows), "kv_spans": flat(sources), "source_id": source_id},
     x=noise(4, 3), e=noise(5, 3), gate=noise(4, 1), cq=noise(4, 2), ck=noise(5, 2))

# ---- the optimizer: five steps, a gradient each ----
p = noise(1, 6)
start, grads = p.detach().clone(), [torch.randn(1, 6).apply_(lambda v: float(f"{v:.4g}")) for _ in range(5)]
optimizer = torch.optim.AdamW([p], lr=0.05, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1)
for grad in grads:
    p.grad = grad.clone()
    optimizer.step()
cases["adamw"] = {"start": numbers(start), "grads": numbers(torch.cat(grads)), "end": numbers(p)}

print("{")
print(",\n".join(f'"{k}": {json.dumps(v, separators=(",", ":"))}' for k, v in cases.items()))
print("}")
