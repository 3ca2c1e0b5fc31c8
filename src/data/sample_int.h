#ifndef RAGLAN_DATA_SAMPLE_INT_H
#define RAGLAN_DATA_SAMPLE_INT_H
/* The three steps of the fictional encyclopedia, each in a file of its own:
 *
 *   grammar file --sample_grammar.c--> grammar      what kinds of things there are, in which words
 *   grammar + seed --sample_world.c--> world        who exists, and what is true of them
 *   world --sample_article.c, sample_question.c-->  text, and questions about it
 *
 * A fact is never stored: it is a pure function of (seed, entity, relation), computed anew
 * wherever it is told or asked. So articles can be written in any order, memory holds only
 * names, and an article and a question can never disagree. */
#include "data/sample.h"
#include "util/mem.h"
#include "util/rng.h"

/* ---- the grammar ---- */

typedef struct words { /* strings in the grammar's arena */
    const char **at;
    int n, cap;
} words;

typedef struct language {
    const char *name;
    words first, middle, last; /* a root is first + middle* + last */
    words given_f, given_m;    /* endings of women's and men's given names */
} language;

typedef struct table {
    const char *name;
    words entries;
} table;

typedef enum value_type {
    VALUE_YEAR,   /* "1843" */
    VALUE_DATE,   /* "12 March 1843" */
    VALUE_NUMBER, /* "1,240 metres" */
    VALUE_TABLE,  /* an entry of a table */
    VALUE_WORDS,  /* a pattern of tables: "a {colour} {beast}" */
    VALUE_ENTITY  /* the name of an entity: a link */
} value_type;

typedef struct relation {
    const char *name;
    int kind;       /* whose relation it is */
    int line;       /* in the grammar file */
    bool is_always; /* stated in every article of its kind */
    value_type type;
    int64_t lo, hi, step; /* year, date, number; years count from `after` if there is one */
    const char *unit;     /* number: "metres"; "" for none */
    const char *after;    /* "born" or "author.born": the year it comes after; NULL: none */
    int after_link, after_relation; /* resolved `after`; after_link -1: of the same entity */
    const char *target_name;        /* table or kind, as written */
    int target;                     /* index of it */
    enum { LINK_ANY, LINK_OWNED, LINK_OWNER } link; /* see fact_of */
    const char *pattern;                            /* VALUE_WORDS */
    words say, ask, hold; /* sentences; questions; questions kept for dev and test */
    words of, of_hold;    /* links only: "the town where {X} was born" */
    words back;           /* links only: the sentence in the target's article */
} relation;

typedef struct kind {
    const char *name;
    int line;
    int64_t weight;      /* its share of the articles */
    const char *article; /* "the" for things called "the River Osse"; else NULL */
    bool is_person;      /* he or she, with a given name and a surname; else it */
    words names, shorts;
    words fill;             /* sentences that state no fact */
    words confuse, compare; /* sentences about {X} and {Y}, its namesake or any other */
    int *relations;         /* indices into grammar.relations; the first one opens the article */
    int n_relations, cap_relations;
    bool is_linked; /* some relation points here, so it can be the middle of a two-hop question */
} kind;

typedef struct grammar {
    arena *mem;
    const char *path; /* for messages */
    language *languages;
    table *tables;
    kind *kinds;
    relation *relations;
    words openings; /* "By all accounts,": what may stand before a fact */
    int n_languages, cap_languages, n_tables, cap_tables, n_kinds, cap_kinds, n_relations,
        cap_relations;
} grammar;

/* Parses and checks a grammar; path NULL takes the built-in one. ERR_FORMAT with file:line. */
status grammar_open(const char *path, grammar **out);
void grammar_free(grammar *g);                                            /* NULL is a no-op */
const table *grammar_table(const grammar *g, const char *name, size_t n); /* NULL if absent */
int grammar_kind(const grammar *g, const char *name, size_t n);           /* -1 if absent */

extern const char sample_builtin[], sample_builtin_end[]; /* sample_builtin.c */

/* ---- the world ---- */

typedef struct entity {
    const char *name, *slug; /* unique: "River Osse", "river-osse" */
    const char *root;        /* the invented word in the name; a person's surname */
    const char *given;       /* a person's given name, else "" */
    uint64_t words_seed;     /* draws the name's pattern and other words */
    int32_t kind;
    int32_t ordinal;  /* its place among its kind */
    int64_t namesake; /* an entity of nearly the same name, or -1 */
    bool is_female;
} entity;

typedef struct backlink {
    int64_t from;
    int relation;
} backlink;

typedef struct world {
    const grammar *g;
    uint64_t seed;
    arena *mem;
    int64_t n;
    entity *entities;    /* [n] */
    int64_t **members;   /* [n_kinds][n_members]: entities of a kind by ordinal */
    int64_t *n_members;  /* [n_kinds] */
    int64_t *slots;      /* [n_slots] hash table of slugs: entity or -1 */
    int64_t n_slots;     /* a power of two */
    backlink *links;     /* all stated links, grouped by their target */
    int64_t *links_from; /* [n + 1] links to entity e: links[links_from[e] .. links_from[e + 1]) */
} world;

world *world_new(const grammar *g, int64_t n, uint64_t seed);
void world_free(world *w);
int64_t world_find(const world *w, const char *slug); /* -1 if absent */
int world_split(const world *w, int64_t e);           /* SAMPLE_TRAIN, _DEV or _TEST */

/* What an rng is drawn for: keeps the streams of one entity apart. */
enum { DRAW_NAME, DRAW_FACT, DRAW_STATED, DRAW_ARTICLE, DRAW_QUESTION, DRAW_RESERVED };
rng world_draw(const world *w, int64_t e, int purpose, int rel);

typedef struct fact {
    int64_t year;   /* year, date */
    int month, day; /* date */
    int64_t number;
    int64_t entity; /* link */
    int entry;      /* table */
} fact;

/* The truth about (entity, relation); false where there is none (no entity to point at). */
bool fact_of(const world *w, int64_t e, int rel, fact *out);
/* Whether the collection tells it at all. */
bool fact_is_stated(const world *w, int64_t e, int rel);
/* Whether a question of this split may ask for it: see sample_question.c. */
bool fact_may_be_asked(const world *w, int64_t e, int rel, int split);
/* The canonical answer, as it stands in the text. */
void fact_text(const world *w, int64_t e, int rel, const fact *f, buf *out);

/* ---- words ---- */

typedef enum mention { MENTION_FULL, MENTION_SHORT, MENTION_PRONOUN } mention;

/* Who and what the holes of a template stand for. */
typedef struct scene {
    const world *w;
    int64_t self;        /* {X}, {X's}, {x} */
    mention mention;     /* how {X} is named, the first time */
    const char *subject; /* {X} in other words ("the town where Sel Varrin was born"), or NULL */
    int64_t other;       /* {Y}, or -1 */
    const char *value;   /* {V}, or NULL */
    const char *value_article; /* "the" in front of a {V} that is a name, or NULL */
    rng *r;                    /* draws tables, numbers and passers-by */
} scene;

void expand(const scene *s, const char *form, buf *out);
/* The same as a sentence or question: capital letter first. */
void expand_sentence(const scene *s, const char *form, buf *out);
/* The scene of a fact: fills value and value_article; `value` lives in text. */
void scene_fact(scene *s, int64_t e, int rel, buf *text);

/* The article of entity e in Markdown, appended to out. */
void article_write(const world *w, int64_t e, buf *out);
/* The relation told right after "X was born in E" in E's article, or -1: what can be asked
 * of E by way of X, with one passage that holds the whole way. */
int article_bridge(const world *w, int64_t e, int64_t x, int link_relation);

/* Appends entity e's questions as JSON lines to out[split] and counts them in report. */
void questions_write(const world *w, int64_t e, buf out[SAMPLE_SPLITS], sample_report *report);
#endif
