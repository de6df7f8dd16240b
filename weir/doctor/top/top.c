/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/os/os.h"
#include "weir/doctor/look/look.h"
#include "weir/doctor/top/top_run.h"
#include "weir/stats/text.h"

#include <errno.h>
#include <stdio.h>

#define FIRST_MS 500 /* nobody waits a whole interval for the first numbers */

static int put(int fd, struct wr_span s)
{
    while (s.n) {
        ssize_t n = wr_os_write(fd, s.p, s.n);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        s = wr_span(s.p + n, s.n - (size_t)n);
    }
    return 0;
}

static void complain(const char *what)
{
    char text[512];
    int n = snprintf(text, sizeof text, "weir top: %s\n", what);
    if (put(2, wr_span(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1))) {
        /* nobody listens */
    }
}

/* ---- the environment -------------------------------------------------------------------------------- */
static const char *variable(const char *name)
{
    size_t n = strlen(name);
    for (char **e = wr_os_environ(); e && *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return "";
}

static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < WR_ARRAY_LEN(names); i++) {
        const char *v = variable(names[i]);
        if (*v)
            return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
    }
    return false;
}

static unsigned size_from(const char *name, unsigned least, unsigned most, unsigned otherwise)
{
    unsigned n = 0;
    for (const char *p = variable(name); *p >= '0' && *p <= '9' && n < 100000; p++)
        n = n * 10 + (unsigned)(*p - '0');
    return n < least ? otherwise : n > most ? most : n;
}

/* ---- the ways to run --------------------------------------------------------------------------------- */
static void sleep_ms(uint64_t ms)
{
    if (ms)
        (void)wr_os_sleep_ns(ms * TOP_MS);
}

static int wait_for_round(struct top *t)
{
    int err = 0;
    for (;;) {
        uint64_t past = top_round_ms(t), next = top_round_glance_ms(t);
        if (err || past >= t->ui.every_ms)
            return err;
        if (past >= next)
            err = top_round_glance(t);
        else
            sleep_ms((next < t->ui.every_ms ? next : t->ui.every_ms) - past);
    }
}

static int print_json(struct top *t)
{
    struct stats_text out = {.heap = t->heap};
    top_json(&out, &t->model, t->judged ? t->found : NULL);
    int err = out.failed ? -ENOMEM : put(1, wr_span(out.p, out.n));
    stats_text_free(&out);
    return err;
}

static int print_screen(struct top *t)
{
    int err = top_draw(t);
    struct stats_text out = {.heap = t->heap};
    if (err)
        return err;
    top_screen_text(&t->now, &out);
    err = out.failed ? -ENOMEM : put(1, wr_span(out.p, out.n));
    stats_text_free(&out);
    return err;
}

static int unattended(struct top *t)
{
    unsigned rows = 24, columns = 80;
    if (wr_os_terminal_size(1, &columns, &rows))
        rows = 24, columns = 80;
    t->rows = size_from("LINES", TOP_LEAST_ROWS, TOP_ROWS_MOST, rows);
    t->columns = size_from("COLUMNS", TOP_LEAST_COLUMNS, TOP_COLUMNS_MOST, columns);
    for (;;) {
        int err = t->ui.recording ? 0 : wait_for_round(t);
        if (!err && !t->ui.recording)
            err = top_round_look(t);
        top_round_account(t);
        if (!err)
            err = t->options.json ? print_json(t) : print_screen(t);
        if (err || t->options.once || t->ui.recording)
            return err == -EPIPE ? 0 : err;
        top_round_begin(t);
        err = top_source_next(t->source);
        if (err)
            return err;
    }
}

/* Before anything is asked of the kernel: is there a terminal that can show it? */
static int check_terminal(enum doctor_lang lang, char *error, size_t n)
{
    bool dumb = strcmp(variable("TERM"), "dumb") == 0;
    if (!dumb && wr_os_is_terminal(0) == 1 && wr_os_is_terminal(1) == 1)
        return 0;
    (void)snprintf(error, n, "%s", dumb ? WORD(lang, TOP_DUMB) : WORD(lang, TOP_NO_TERMINAL));
    return -ENOTTY;
}

static int run(struct top *t, char *error, size_t n)
{
    bool alone = t->options.once || t->options.json;
    int err = alone ? 0 : check_terminal(t->options.lang, error, n);
    if (!err)
        err = top_source_begin(t->source, error, n);
    if (err) {
        t->status = err == -ESRCH ? TOP_NO_TARGET : err == -EINVAL ? TOP_USAGE : TOP_FAILED;
        return err;
    }
    t->ui.table = top_source_groups(t->source)->rows.n > 1 || !t->options.target ? TOP_PROGRAMS
                                                                                 : TOP_WORKERS;
    t->ui.interval_ms = t->options.interval_ms;
    t->ui.lang = t->options.lang;
    t->ui.every_ms = alone || t->ui.interval_ms < FIRST_MS ? t->ui.interval_ms : FIRST_MS;
    t->ui.recording = t->options.from != NULL;
    top_round_begin(t);
    if (t->ui.recording)
        err = top_round_understand(t);
    if (!err)
        err = alone ? unattended(t) : top_loop(t);
    if (err)
        t->status = err == -ESRCH ? TOP_NO_TARGET : TOP_FAILED;
    if (err && !error[0])
        (void)snprintf(error, n, "%s",
                       err == -ESRCH ? WORD(t->options.lang, TOP_ENDED)
                                     : word_error(t->options.lang, err));
    return err;
}

/* A terminal that cannot show Chinese is not spoken to in it, unless --lang says that it can. */
static void choose_language(struct top *t)
{
    if (t->options.lang == LANG_EN || t->utf8)
        return;
    if (t->options.lang_asked)
        t->utf8 = true;
    else
        t->options.lang = LANG_EN;
}

static int with_memory(struct top *t)
{
    char error[256] = "";
    t->heap = wr_os_heap();
    look_behind();
    t->utf8 = is_utf8();
    choose_language(t);
    t->colour = !*variable("NO_COLOR");
    top_model_init(&t->model, t->heap);
    top_past_init(&t->past, t->heap);
    t->found = wr_heap_zalloc(t->heap, sizeof *t->found);
    int err = t->found ? top_source_new(&t->options, t->heap, &t->source) : -ENOMEM;
    if (!err)
        err = run(t, error, sizeof error);
    if (err)
        complain(error[0] ? error : word_error(t->options.lang, err));
    top_source_free(&t->source);
    if (t->found)
        wr_heap_free(t->heap, t->found, sizeof *t->found);
    top_past_free(&t->past);
    top_model_free(&t->model);
    top_screen_free(&t->now);
    top_screen_free(&t->shown);
    return err && t->status == TOP_DONE ? TOP_FAILED : t->status;
}

int top_command(int argc, char **argv)
{
    struct top t = {0};
    char error[256] = "";
    if (top_options(argc, argv, lang_locale(), &t.options, error, sizeof error)) {
        complain(error);
        return TOP_USAGE;
    }
    if (t.options.help)
        return put(1, wr_span_str(WORD(t.options.lang, TOP_HELP))) ? TOP_FAILED : TOP_DONE;
    return with_memory(&t);
}
