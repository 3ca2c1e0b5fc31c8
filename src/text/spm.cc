/* The door to SentencePiece (0.1.97 and later): C++ in, C out, no exception leaves.
 *
 * Byte ranges come from ImmutableSentencePieceText, which keeps the map from normalised to
 * given text. The trainer prints on its own; it is kept quiet unless --verbose. */
#include "text/spm_int.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <unordered_map>

namespace sp = sentencepiece;

struct spm {
    sp::SentencePieceProcessor processor;
};

namespace {

/* SentencePiece pulls its sentences through this. */
class lines final : public sp::SentenceIterator {
  public:
    explicit lines(const spm_training *o) : o_(o) {
        Next();
    }
    bool done() const override {
        return done_;
    }
    void Next() override {
        const char *line = nullptr;
        size_t n = 0;
        done_ = !o_->next(o_->arg, &line, &n);
        if (!done_) line_.assign(line, n);
    }
    const std::string &value() const override {
        return line_;
    }
    sp::util::Status status() const override {
        return sp::util::Status();
    }

  private:
    const spm_training *o_;
    std::string line_;
    bool done_ = false;
};

std::unordered_map<std::string, std::string> arguments(const spm_training *o) {
    return {
        {"model_type", o->unigram ? "unigram" : "bpe"},
        {"vocab_size", std::to_string(o->vocab_size)},
        {"hard_vocab_limit", "false"}, /* too large for the text: as large as it allows */
        {"character_coverage", std::to_string(o->coverage)},
        {"byte_fallback", "true"},
        {"normalization_rule_tsv", o->rules_path},
        {"remove_extra_whitespaces", "true"},
        {"add_dummy_prefix", "true"},
        {"input_format", "tsv"}, /* a word and its count a line */
        {"num_threads", "1"},    /* unigram's sums depend on it */
        {"pad_id", "0"},
        {"bos_id", "1"},
        {"eos_id", "2"},
        {"unk_id", "3"},
        {"minloglevel", o->verbose ? "0" : "4"},
    };
}

} // namespace

extern "C" {

status spm_load(const void *bytes, size_t n, spm **out) {
    try {
        spm *m = new spm;
        const auto st = m->processor.LoadFromSerializedProto({static_cast<const char *>(bytes), n});
        if (!st.ok()) {
            delete m;
            FAIL(ERR_FORMAT, "%s", st.error_message());
        }
        *out = m;
        return OK;
    } catch (const std::exception &e) {
        FAIL(ERR_FORMAT, "%s", e.what());
    }
}

void spm_free(spm *m) {
    delete m;
}

int32_t spm_size(const spm *m) {
    return m->processor.GetPieceSize();
}

const char *spm_piece(const spm *m, int32_t id) {
    return m->processor.IdToPiece(id).c_str();
}

bool spm_is_byte(const spm *m, int32_t id) {
    return m->processor.IsByte(id);
}

bool spm_is_special(const spm *m, int32_t id) {
    return m->processor.IsControl(id) || m->processor.IsUnknown(id);
}

int32_t spm_find(const spm *m, const char *piece) {
    const int id = m->processor.PieceToId(piece); /* the unknown piece's when absent */
    return std::strcmp(spm_piece(m, id), piece) == 0 ? id : -1;
}

void spm_encode(const spm *m, const char *text, size_t n, spm_piece_fn add, void *arg) {
    sp::ImmutableSentencePieceText pieces;
    const auto st = m->processor.Encode(absl::string_view(text, n), pieces.mutable_proto());
    MUST(st.ok(), "SentencePiece cannot encode %zu bytes: %s", n, st.error_message());
    const size_t n_pieces = pieces.pieces_size();
    for (size_t i = 0; i < n_pieces; i++) {
        const auto piece = pieces.pieces(static_cast<int>(i));
        add(arg, static_cast<int32_t>(piece.id()), piece.begin(), piece.end());
    }
}

status spm_train(const spm_training *o, char **bytes, size_t *n) {
    try {
        lines source(o);
        std::string model;
        const auto st = sp::SentencePieceTrainer::Train(arguments(o), &source, &model);
        if (!st.ok()) FAIL(ERR_ARG, "SentencePiece: %s", st.error_message());
        char *copy = static_cast<char *>(std::malloc(model.size()));
        if (!copy) FAIL(ERR_MEM, "no memory for a tokenizer of %zu bytes", model.size());
        std::memcpy(copy, model.data(), model.size());
        *bytes = copy;
        *n = model.size();
        return OK;
    } catch (const std::bad_alloc &) {
        FAIL(ERR_MEM, "SentencePiece ran out of memory; train on less text");
    } catch (const std::exception &e) {
        FAIL(ERR_ARG, "SentencePiece: %s", e.what());
    }
}

} /* extern "C" */
