/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --record and --from: the facts of an examination in a file.
 */
#include "weir/doctor/command_private.h"
#include "weir/doctor/look/record.h"
#include "weir/doctor/report/say.h"

#include "libweir/base/err.h"
#include "libweir/os/os.h"

#include <errno.h>
#include <fcntl.h>

#define PIECE     (64U << 10)
#define FILE_MOST ((size_t)1 << 30)

/* ---- writing ---------------------------------------------------------------------------------------- */
static int put_piece(void *arg, struct wr_span piece)
{
    return say(*(const int *)arg, piece);
}

int run_record(const struct run *r, const struct facts *f)
{
    const char *path = r->o->record;
    int fd = wr_os_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int err = fd < 0 ? fd : record_write(f, put_piece, &fd);
    if (fd >= 0) {
        int late = wr_os_close(fd);
        err = err ? err : late;
    }
    if (!err)
        return 0;
    say_error("doctor", WORD(r->o->lang, D_RECORD), path, word_error(r->o->lang, err));
    return DOCTOR_USAGE;
}

/* ---- reading ---------------------------------------------------------------------------------------- */
static int read_all(int fd, struct stats_text *out)
{
    char *piece = wr_heap_alloc(out->heap, PIECE);
    ssize_t n = piece ? 1 : -ENOMEM;
    while (n > 0 && !out->failed) {
        n = wr_os_read(fd, piece, PIECE);
        if (n > 0)
            stats_put(out, wr_span(piece, (size_t)n));
        if (out->n > FILE_MOST)
            n = -EFBIG;
    }
    wr_heap_free(out->heap, piece, PIECE);
    return n < 0 ? (int)n : out->failed ? -ENOMEM : 0;
}

static int read_facts(const struct run *r, struct facts *out)
{
    const char *path = r->o->from;
    struct stats_text text = {.heap = r->heap};
    bool standard = strcmp(path, "-") == 0;
    unsigned line = 0;
    int fd = standard ? 0 : wr_os_open(path, O_RDONLY | O_CLOEXEC, 0);
    int err = fd < 0 ? fd : read_all(fd, &text);
    if (fd > 0)
        (void)wr_os_close(fd);
    if (!err)
        err = record_read(wr_span(text.p, text.n), out, &line);
    stats_text_free(&text);
    if (!err)
        return 0;
    if (line > 0)
        say_error("doctor", WORD(r->o->lang, D_FROM_LINE), path, line);
    else
        say_error("doctor", WORD(r->o->lang, D_FROM), path, word_error(r->o->lang, err));
    return DOCTOR_USAGE;
}

static int groups_asked(const struct run *r, const struct facts_look *l,
                        struct target_groups *out)
{
    struct target t;
    const char *why = "";
    for (unsigned i = 0; i < r->o->n_targets; i++) {
        if (target_parse(wr_span_str(r->o->target[i]), r->o->lang, &t, &why)) {
            say_error("doctor", WORD(r->o->lang, D_NO_TARGET), r->o->target[i], why);
            return DOCTOR_USAGE;
        }
        int n = target_find(l, &t, 0, out);
        if (n < 0)
            return run_no_memory(r, n);
        if (n == 0) {
            say_error("doctor", WORD(r->o->lang, D_NOT_RECORDED), r->o->target[i]);
            return DOCTOR_NO_TARGET;
        }
    }
    return 0;
}

static int judge(const struct run *r, const struct facts *f, const struct target_groups *g)
{
    struct cases c;
    bool host = run_whole_host(r) && g->rows.n != 1;
    const struct case_options o = {.limits = &r->o->limits, .whole_host = host};
    int err = cases_init(&c, r->heap);
    if (!err)
        err = cases_judge(&c, f, g, &o);
    if (!err)
        err = cases_report(&c, f, host, r->o->fail_on);
    int status = err ? run_no_memory(r, err) : c.report.exit;
    if (host)
        c.report.host = WORD(r->o->lang, D_RECORDED_HOST);
    if (!err)
        run_print(r, &c);
    cases_deinit(&c);
    return status;
}

int run_from(const struct run *r)
{
    struct facts f;
    struct target_groups g;
    facts_init(&f, r->heap);
    target_groups_init(&g, r->heap);
    int status = read_facts(r, &f);
    if (!status && r->o->n_targets > 0)
        status = groups_asked(r, &f.b, &g);
    else if (!status && target_noted(&f.b, &g))
        status = run_no_memory(r, -ENOMEM);
    if (!status && g.rows.n == 0) { /* a file that names none: all that it saw is one */
        struct target_group all = {0};
        if (FACTS_ADD(&g.rows, g.heap, &all))
            status = run_no_memory(r, -ENOMEM);
    }
    if (!status)
        status = judge(r, &f, &g);
    target_groups_deinit(&g);
    facts_deinit(&f);
    return status;
}
