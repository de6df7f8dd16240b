/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/conf/conf.h"

#include "libweir/base/err.h"

#include <stdio.h>

/*
 * A message: what nginx says, in nginx's shape, and below it what more is known. Mistakes may be want of memory, so
 * a text that the arena refuses is cut to what fits here.
 */

struct text {
    char small[512];
    const char *p;
};

WR_PRINTF(3, 0)
static void text_make(struct text *t, struct conf_load *load, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    t->p = wr_arena_vprintf(load->arena, fmt, ap);
    if (!t->p) {
        (void)vsnprintf(t->small, sizeof(t->small), fmt, again);
        t->p = t->small;
    }
    va_end(again);
}

WR_PRINTF(3, 4)
static void text_print(struct text *t, struct conf_load *load, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    text_make(t, load, fmt, ap);
    va_end(ap);
}

static void say_at(struct conf_load *load, enum conf_severity severity,
                   const struct conf_node *node, uint32_t word, const char *hint,
                   const char *what)
{
    struct text line, below;
    const struct conf_word *w =
        node && node->nwords ? &node->words[word < node->nwords ? word : 0] : NULL;
    below.p = hint;
    if (!node || !node->file)
        text_print(&line, load, "%s", what);
    else if (node->file->one_line || !node->line)
        text_print(&line, load, "%s in %s", what, node->file->name);
    else
        text_print(&line, load, "%s in %s:%u", what, node->file->name, node->line);
    if (w && w->line && w->line != node->line)
        text_print(&below, load, "line %u, column %u%s%s", w->line, w->column, hint ? "; " : "",
                   hint ? hint : "");
    else if (w && w->line)
        text_print(&below, load, "column %u%s%s", w->column, hint ? "; " : "",
                   hint ? hint : "");
    load->source->say(load->source->ctx, severity, line.p, below.p);
}

/* A directive's name that begins a further line: the semicolon before it is what is missing. */
static const char *lost_end(struct conf_load *load, const struct conf_node *node)
{
    for (uint32_t i = 1; i < node->nwords; i++) {
        const struct conf_word *w = &node->words[i], *before = w - 1;
        if (w->line > before->line && !w->quoted &&
            conf_row_find(load, w->text, UINT32_MAX, NULL))
            return wr_arena_printf(load->arena,
                                   "is the \";\" missing behind \"%.*s\" in line %u?",
                                   WR_SPANF(before->text), before->line);
    }
    return NULL;
}

WR_PRINTF(5, 0)
static int fail(struct conf_load *load, const struct conf_node *node, uint32_t word,
                const char *hint, const char *fmt, va_list ap)
{
    struct text what;
    load->errors++;
    if (node && node->error) {
        say_at(load, CONF_EMERG, node, 0, node->hint, node->error);
        return WR_E_SYNTAX;
    }
    const char *lost = node ? lost_end(load, node) : NULL;
    text_make(&what, load, fmt, ap);
    say_at(load, CONF_EMERG, node, word, lost ? lost : hint, what.p);
    return WR_E_SYNTAX;
}

int conf_fail(struct conf_load *load, const struct conf_node *node, uint32_t word,
              const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int err = fail(load, node, word, NULL, fmt, ap);
    va_end(ap);
    return err;
}

int conf_fail_hint(struct conf_load *load, const struct conf_node *node, uint32_t word,
                   const char *hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int err = fail(load, node, word, hint, fmt, ap);
    va_end(ap);
    return err;
}

void conf_warn(struct conf_load *load, const struct conf_node *node, uint32_t word,
               const char *fmt, ...)
{
    struct text what;
    va_list ap;
    if (load->in_default)
        return;
    va_start(ap, fmt);
    text_make(&what, load, fmt, ap);
    va_end(ap);
    load->warnings++;
    say_at(load, CONF_WARN, node, word, NULL, what.p);
}
