#!/usr/bin/env python3
"""Writes models.json: what PyTorch says about a whole small retriever and a whole small generator.

For each model: inputs, the loss, its gradient with respect to every parameter, and the losses of
ten AdamW steps on that batch. Written in plain PyTorch from the description of the models in
src/model/*.h, one text after the other, without anything ragged; float64.
tests/model/test_golden.c runs the same through our models.

    pip install torch        (made with torch 2.x on a CPU)
    python3 make_models.py > models.json      a few seconds, about 60 kB, no download

Parameters begin at base + size * sin(0.731 * i * i + c), i the index in the row-major array and c
the sum of the name's bytes, so that the file need not hold them.
"""
import json
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
models = {}
PLACE_WEIGHT = 0.5
ADAMW = {"lr": 0.01, "beta1": 0.9, "beta2": 0.98, "eps": 1e-6, "decay": 0.1, "clip": 1.0}


class Parameters(dict):
    """Name -> tensor, with the options that the optimizer has to know."""

    def __init__(self):
        super().__init__()
        self.options = {}

    def add(self, name, *shape, base=0.0, size=0.5, lr=1.0, decay=True, floor=None):
        i = torch.arange(math.prod(shape))
        start = base + size * torch.sin(0.731 * i * i + sum(name.encode()))
        self[name] = start.reshape(shape).requires_grad_()
        self.options[name] = {"base": base, "size": size, "lr": lr, "decay": decay, "floor": floor}

    def vector(self, name, n, base=0.0, size=0.2):
        self.add(name, 1, n, base=base, size=size, decay=False)

    def attend(self, name, dim, memory):
        self.vector(f"{name}.norm_x", dim, base=1)
        self.vector(f"{name}.norm_x_bias", dim)
        if memory:
            self.vector(f"{name}.norm_y", dim, base=1)
            self.vector(f"{name}.norm_y_bias", dim)
        self.add(f"{name}.wq", dim, dim)
        self.add(f"{name}.wkv", dim, 2 * dim)
        self.add(f"{name}.wo", dim, dim)

    def feed(self, name, dim):
        self.vector(f"{name}.norm", dim, base=1)
        self.vector(f"{name}.norm_bias", dim)
        self.add(f"{name}.w1", dim, 4 * dim)
        self.vector(f"{name}.b1", 4 * dim)
        self.add(f"{name}.w2", 4 * dim, dim)
        self.vector(f"{name}.b2", dim)


def numbers(x):
    return [float(f"{v:.6g}") or 0 for v in x.detach().reshape(-1).tolist()]


def record(name, p, make_loss, **inputs):
    loss = make_loss(p)
    loss.backward()
    kept = {}
    for key, value in p.items():
        grad = torch.zeros_like(value) if value.grad is None else value.grad
        o = p.options[key]
        kept[key] = {"rows": value.shape[0], "base": o["base"], "size": o["size"], "d": numbers(grad)}
    groups = [{"params": [value], "lr": ADAMW["lr"] * p.options[key]["lr"],
               "weight_decay": ADAMW["decay"] if p.options[key]["decay"] else 0.0} for key, value in p.items()]
    optimizer = torch.optim.AdamW(groups, betas=(ADAMW["beta1"], ADAMW["beta2"]), eps=ADAMW["eps"])
    losses = []
    for _ in range(10):
        optimizer.zero_grad(set_to_none=False)
        now = make_loss(p)
        now.backward()
        losses.append(now.item())
        torch.nn.utils.clip_grad_norm_(p.values(), ADAMW["clip"])
        optimizer.step()
        for key, value in p.items():
            if p.options[key]["floor"] is not None:
                value.data.clamp_(min=p.options[key]["floor"])
    models[name] = {"inputs": inputs, "loss": loss.item(), "parameters": kept, "losses": losses}


# ---- layers ----
def norm(p, name, x, bias=None):
    return F.layer_norm(x, x.shape[-1:], p[name][0], p[bias or f"{name}_bias"][0], 1e-5)


def heads_of(x, heads):
    return x.reshape(x.shape[0], heads, -1).transpose(0, 1)


def rotate(x, heads, position):
    """Pairs (x[i], x[i + width/2]) of each head as complex numbers, turned."""
    x = heads_of(x, heads)
    half = x.shape[-1] // 2
    turn = torch.tensor(position)[:, None] * 10000.0 ** (-torch.arange(half) / half)
    pairs = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(turn), turn)
    return torch.cat([pairs.real, pairs.imag], -1).transpose(0, 1).reshape(x.shape[1], -1)


def attend(p, name, x, y, heads, position=None, causal=False):
    """y None: x reads itself; else y, normed if the layer has a norm for it."""
    dim = x.shape[1]
    h = norm(p, f"{name}.norm_x", x)
    m = h if y is None else norm(p, f"{name}.norm_y", y) if f"{name}.norm_y" in p else y
    if m.shape[0] == 0:
        return x
    q, k, v = h @ p[f"{name}.wq"], *(m @ p[f"{name}.wkv"]).split(dim, -1)
    if position is not None:
        q, k = rotate(q, heads, position), rotate(k, heads, position)
    mixed = F.scaled_dot_product_attention(*(heads_of(t, heads) for t in (q, k, v)), is_causal=causal)
    return x + mixed.transpose(0, 1).reshape(x.shape[0], dim) @ p[f"{name}.wo"]


def feed(p, name, x):
    wide = F.relu(norm(p, f"{name}.norm", x) @ p[f"{name}.w1"] + p[f"{name}.b1"])
    return x + wide @ p[f"{name}.w2"] + p[f"{name}.b2"]


# ---- the retriever ----
VOCAB, DIM, EMBEDDING, WINDOW, BLOCKS, HEADS = 11, 6, 5, 3, 2, 2
questions = [[4, 7, 1, 9, 2, 2, 5], [3, 8, 10], [6], [5, 4, 0, 9]]
passages = [[1, 9, 2], [10, 3, 3, 8, 7, 0], [6, 2], [0, 5, 9, 4, 10, 1, 1], [8, 8, 2]]
positive, masked = [0, 1, 2, 3], [(0, 3), (2, 4)]


def retriever_parameters(bag):
    p = Parameters()
    p.add("embedding", VOCAB, DIM, lr=10.0 if bag else 1.0, decay=False)
    if bag:
        p.add("token_weight", VOCAB, 2, base=0.6, size=0.55, lr=10.0, decay=False, floor=0.0)
    p.add("marker", 2, DIM, decay=False)
    for i in range(BLOCKS):
        p.attend(f"blocks.{i}.attend", DIM, memory=True)
        p.feed(f"blocks.{i}.feed", DIM)
    p.vector("norm", DIM, base=1)
    p.vector("norm_bias", DIM)
    if bag:
        p.add("mix", DIM, DIM)
    p.add("out", DIM, EMBEDDING)
    p.add("log_scale", 1, 1, base=1.5, size=0.1, decay=False)
    return p


def positions(first, n, dim):
    """As MLX's nn.SinusoidalPositionalEncoding with its defaults."""
    sigmas = 1e-4 ** torch.linspace(0, 1, dim // 2)
    turn = torch.arange(first, first + n)[:, None] * sigmas
    return math.sqrt(2 / dim) * torch.cat([turn.sin(), turn.cos()], -1)


def stack(p, x, y=None):
    for i in range(BLOCKS):
        x = feed(p, f"blocks.{i}.feed", attend(p, f"blocks.{i}.attend", x, y, HEADS))
    return norm(p, "norm", x)


def encode(p, text, kind, unit):
    e = p["embedding"][text]
    x = e + positions(0, len(text), DIM) + p["marker"][kind]
    state = stack(p, x[:WINDOW])
    for begin in range(WINDOW, len(text), WINDOW):
        state = stack(p, state, x[begin:begin + WINDOW])
        state = stack(p, state)
    vector = state.mean(0)
    if "mix" in p:
        vector = F.normalize((p["token_weight"][text, kind, None] * e).sum(0), dim=0) + vector @ p["mix"]
    vector = vector @ p["out"]
    return F.normalize(vector, dim=0) if unit else vector


def contrastive(p):
    q = torch.stack([encode(p, t, 0, True) for t in questions])
    c = torch.stack([encode(p, t, 1, True) for t in passages])
    s = torch.exp(p["log_scale"]) * (q @ c.t())
    for i, j in masked:
        s = s.index_put((torch.tensor([i]), torch.tensor([j])), torch.tensor(-math.inf))
    target = torch.tensor(positive)
    return (F.cross_entropy(s, target) + F.cross_entropy(s[:, positive].t(), torch.arange(len(questions)))) / 2


def published(p):
    q = encode(p, questions[0], 0, False)
    c = torch.stack([encode(p, t, 1, False) for t in passages])
    log_p = torch.clamp(F.log_softmax(c @ q / EMBEDDING, 0), min=-18)
    return -(log_p[0] / 2 + log_p[3] / 2) / len(passages)


sizes = {"vocab": VOCAB, "dim": DIM, "embedding_dim": EMBEDDING, "window": WINDOW, "blocks": BLOCKS, "heads": HEADS}
texts = {**sizes, "questions": questions, "passages": passages}
record("retriever", retriever_parameters(True), contrastive, **texts, positive=positive, masked=masked)
record("published_retriever", retriever_parameters(False), published, **texts, positives=[0, 3])

# ---- the generator ----
BOS, EOS, DIM, DIGIT, CAPITAL, WORD = 1, 2, 4, 1, 2, 4
bits = [0, 0, 0, 0, WORD, WORD | CAPITAL, WORD | DIGIT, 0, WORD, DIGIT, WORD, WORD]
fold = [0, 1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 11]
LIMITS = {"question": 4, "title": 2, "passage": 5, "answer": 3}
items = [
    {"ids": [4, 7, 8], "answer": [9, 6], "passages": [
        {"title": [5, 7], "ids": [10, 9, 6, 4, 7], "at": [1, 3]},
        {"title": [11], "ids": [8, 3, 9, 6], "at": [2, 4]}]},
    {"ids": [11, 10, 6, 5, 9], "answer": [10, 7, 7, 8], "passages": [  # all is longer than the limits
        {"title": [8, 5, 4], "ids": [5, 11, 10, 10, 6, 7, 7], "at": [5, 7]}]},
    {"ids": [8, 9], "answer": [], "passages": []},
    {"ids": [6, 6], "answer": [], "passages": [{"title": [], "ids": [4, 11, 8], "at": [0, 0]}]},
]


def generator_parameters(copies):
    p = Parameters()
    p.add("embedding", len(bits), DIM, decay=False)
    p.add("feature", 216, DIM, decay=False)
    p.add("rank", 32, DIM, decay=False)
    for i in range(2):
        p.attend(f"encoder.{i}.attend", DIM, memory=False)
        p.feed(f"encoder.{i}.feed", DIM)
        p.attend(f"decoder.{i}.write", DIM, memory=False)
        p.attend(f"decoder.{i}.look", DIM, memory=False)
        p.feed(f"decoder.{i}.feed", DIM)
    for side in ("in", "out"):
        p.vector(f"norm_{side}", DIM, base=1)
        p.vector(f"norm_{side}_bias", DIM)
    p.add("place", DIM, 2)
    if copies:
        p.add("gate", DIM, 1)
        p.vector("gate_bias", 1)
        p.add("copy_q", DIM, DIM)
        p.add("copy_k", DIM, DIM)
    return p


def features(coverage, segment, ids, others):
    """(coverage, segment, match, bits) of each token; match 2: there together with a neighbour."""
    others = [[fold[t] for t in other] for other in others]
    there = set(sum(others, []))
    pairs = {pair for other in others for pair in zip(other, other[1:])}
    out = []
    for i, t in enumerate(ids):
        near = (i > 0 and (fold[ids[i - 1]], fold[t]) in pairs) or (
            i + 1 < len(ids) and (fold[t], fold[ids[i + 1]]) in pairs)
        match = 0 if fold[t] not in there else 2 if near else 1
        out.append(((coverage * 3 + segment) * 3 + match) * 8 + bits[t])
    return out


def read_pair(p, question, passage, rank):
    """States of one (question, passage) pair, what may be copied, where answers begin and end."""
    q, title, text = question["ids"][:4], passage["title"][:2], passage["ids"][:5]
    ids = q + [EOS] + title + [EOS] + text
    held = sum(fold[t] in [fold[x] for x in q] for t in title)
    cover = 0 if held == 0 else 1 if held < len(title) else 2
    kinds = (features(cover, 0, q, [title, text]) + features(cover, 0, [EOS], []) + features(cover, 1, title, [q])
             + features(cover, 1, [EOS], []) + features(cover, 2, text, [q]))
    x = p["embedding"][ids] + p["feature"][kinds] + p["rank"][rank]
    for i in range(2):
        x = attend(p, f"encoder.{i}.attend", x, None, 2, list(range(len(ids))))
        x = feed(p, f"encoder.{i}.feed", x)
    source = [-1] * (len(q) + 1) + title + [-1] + text
    begin, end = passage["at"]
    flagged, first = begin < end <= len(text), len(ids) - len(text)
    starts = [flagged and i == first + begin for i in range(len(ids))]
    ends = [flagged and i == first + end - 1 for i in range(len(ids))]
    return norm(p, "norm_in", x), source, starts, ends


def write_answer(p, question, memory, source):
    """-log p of each target that is known."""
    answer = question["answer"]
    inputs = [BOS] + answer[:3]
    target = (answer + [EOS])[:3] if len(answer) > 3 else answer + [EOS]
    x = p["embedding"][inputs]
    for i in range(2):
        x = attend(p, f"decoder.{i}.write", x, None, 2, list(range(len(inputs))), causal=True)
        x = attend(p, f"decoder.{i}.look", x, memory, 2)
        x = feed(p, f"decoder.{i}.feed", x)
    x = norm(p, "norm_out", x)
    words = F.softmax(x @ p["embedding"].t(), -1)
    kept = [j for j, t in enumerate(source) if t >= 0]
    if "gate" in p and kept:
        share = F.softmax((x @ p["copy_q"]) @ (memory[kept] @ p["copy_k"]).t() / math.sqrt(DIM), -1)
        onto = F.one_hot(torch.tensor([source[j] for j in kept]), len(bits)).double()
        gate = torch.sigmoid(x @ p["gate"] + p["gate_bias"])
        words = gate * words + (1 - gate) * (share @ onto)
    return [-torch.log(words[i, t]) for i, t in enumerate(target)]


def marginal(scores, flags):
    return -torch.log(F.softmax(scores, 0)[torch.tensor(flags)].sum())


def generator_loss(p):
    words, starts, ends = [], [], []
    for question in items:
        parts = [read_pair(p, question, x, rank) for rank, x in enumerate(question["passages"])]
        memory = torch.cat([x[0] for x in parts]) if parts else torch.zeros(0, DIM)
        source, is_start, is_end = (sum((x[i] for x in parts), []) for i in (1, 2, 3))
        words += write_answer(p, question, memory, source)
        if any(is_start):
            scores = memory @ p["place"]
            starts.append(marginal(scores[:, 0], is_start))
            ends.append(marginal(scores[:, 1], is_end))
    return sum(words) / len(words) + PLACE_WEIGHT * (sum(starts) / len(starts) + sum(ends) / len(ends))


sizes = {"vocab": len(bits), "dim": DIM, "blocks": 2, "heads": 2, "bits": bits, "fold": fold, "limits": LIMITS}
record("generator", generator_parameters(True), generator_loss, **sizes, place_weight=PLACE_WEIGHT, items=items)
record("plain_generator", generator_parameters(False), generator_loss, **sizes, place_weight=PLACE_WEIGHT, items=items)

print('{"adamw": ' + json.dumps(ADAMW) + ",")
print(",\n".join(f'"{k}": {json.dumps(v, separators=(",", ":"))}' for k, v in models.items()))
print("}")
