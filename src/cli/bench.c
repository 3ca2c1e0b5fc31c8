/* raglan bench: how fast this build is on this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/opts.h"
#include "eval/bench.h"
#include "tensor/backend.h"
#include "util/json.h"
#include "util/par.h"

static const struct part {
    const char *name;
    unsigned bits;
} parts[] = {{"all", BENCH_ALL},      {"kernels", BENCH_KERNELS}, {"train", BENCH_TRAIN},
             {"embed", BENCH_EMBED},  {"search", BENCH_SEARCH},   {"lexical", BENCH_LEXICAL},
             {"answer", BENCH_ANSWER}};
enum { N_PARTS = sizeof parts / sizeof *parts };

/* The bits of a part by name; 0 after a sentence of wrong usage. */
static unsigned part_of(const opts *o, const char *word) {
    const char *names[N_PARTS];
    for (int i = 0; i < N_PARTS; i++) {
        names[i] = parts[i].name;
        if (!strcmp(word, names[i])) return parts[i].bits;
    }
    opts_wrong(o,
               "found '%s', wanted kernels, train, embed, search, lexical, answer or all; the "
               "nearest is %s",
               word, opts_nearest(word, names, N_PARTS));
    return 0;
}

typedef struct printer {
    bool json;
    char *cpu;
} printer;

static void print_row(void *arg, const bench_row *r) {
    const printer *p = arg;
    if (p->json) {
        json_t *j = json_pack("{s:s, s:f, s:s, s:f, s:f, s:f, s:i, s:s}", "name", r->name, "value",
                              r->value, "unit", r->unit, "flops", r->flops, "peak_fraction",
                              r->peak_fraction, "peak_fraction_beside", r->peak_fraction_beside,
                              "threads", par_threads(), "cpu", p->cpu);
        char *line = json_line(j);
        puts(line);
        free(line);
        json_decref(j);
    } else {
        printf("%-32s %12.*f %-10s", r->name, r->value < 100 ? 2 : 0, r->value, r->unit);
        if (r->peak_fraction > 0) printf(" %5.1f %%", 100 * r->peak_fraction);
        if (r->peak_fraction_beside > 0)
            printf(" %5.1f %% of the peak beside", 100 * r->peak_fraction_beside);
        putchar('\n');
    }
    fflush(stdout);
}

int cmd_bench(int argc, char **argv) {
    int64_t dim;
    int size;
    /* clang-format off */
    opt table[] = {
        {"dim", OPT_INT, &dim, "256", 16, 4096, "D",
         "width of the models and products, a multiple of 16", false},
        {"size", OPT_CHOICE, &size, "full", 0, 0, "full|quick|tiny",
         "full: minutes; quick: seconds, smaller indexes; tiny: a test that it runs", false},
    };
    /* clang-format on */
    opts o = {.command = "bench",
              .arguments = "[kernels|train|embed|search|lexical|answer|all]",
              .about = "Measures this machine's peak (multiply-adds in f32, bf16 and int8, reading "
                       "memory), then what raglan makes of it: one line a figure, with its share "
                       "of the peak. Data are made up; no collection is needed.",
              .min_args = 0,
              .max_args = 1,
              .shared = OPTS_THREADS | OPTS_SEED | OPTS_JSON,
              OPTS_TABLE(table)};
    int code = opts_parse(&o, argc, argv);
    if (code >= 0) return code;
    unsigned bits = part_of(&o, o.n_args ? o.args[0] : "all");
    if (!bits) return 2;
    if (dim % 16) return opts_wrong(&o, "--dim is %ld, wanted a multiple of 16", (long)dim);
    printer p = {.json = o.json, .cpu = bench_cpu()};
    if (!o.json)
        printf("%s, kernels '%s', %d thread%s\n", p.cpu, backend_cpu()->name, par_threads(),
               plural(par_threads()));
    status st = bench_run(&(bench_options){.parts = bits,
                                           .size = (bench_size)size,
                                           .dim = dim,
                                           .seed = (uint64_t)o.seed,
                                           .row = print_row,
                                           .arg = &p});
    free(p.cpu);
    return cli_exit(st);
}
