/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/err.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/web/vars.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <string.h>

/* A pattern that would work longer than this on one subject is given up: a bad one, or an attack on it. */
#define MATCH_LIMIT   1000000
#define DEPTH_LIMIT   10000
#define HEAP_LIMIT_K  4096
#define JIT_STACK_MIN 32768
#define JIT_STACK_MAX 524288

struct named {
    uint32_t group, index; /* of the capture; of its variable */
};

struct web_regex {
    pcre2_code *code;
    struct wr_span text;
    struct named *named;
    uint32_t nnamed, groups;
    struct web_regex_state *state;
    struct web_regex *next;
};

/* Of a generation. The lower half is made by the first match in a process. */
struct web_regex_state {
    struct wr_arena *arena;
    struct web_regex *list;
    uint32_t most_groups;
    pcre2_general_context *general;
    pcre2_match_data *data;
    pcre2_match_context *match;
    pcre2_jit_stack *stack;
};

/* ---- memory: every block begins with its size, since the heap wants to be told ------------------------- */

#define SIZE_ROOM 16

static void *take(size_t n, void *ctx)
{
    const struct wr_heap *heap = ctx;
    char *p = n > SIZE_MAX - SIZE_ROOM ? NULL : wr_heap_alloc(heap, n + SIZE_ROOM);
    if (!p)
        return NULL;
    memcpy(p, &n, sizeof(n));
    return p + SIZE_ROOM;
}

static void give(void *p, void *ctx)
{
    const struct wr_heap *heap = ctx;
    size_t n;
    if (!p)
        return;
    char *whole = (char *)p - SIZE_ROOM;
    memcpy(&n, whole, sizeof(n));
    wr_heap_free(heap, whole, n + SIZE_ROOM);
}

static pcre2_general_context *general_new(void)
{
    /* PCRE2 hands the word back untouched; nothing is written through it. */
    return pcre2_general_context_create(take, give, (void *)(uintptr_t)wr_os_heap());
}

static void state_free(void *arg)
{
    struct web_regex_state *s = arg;
    for (struct web_regex *re = s->list; re; re = re->next)
        pcre2_code_free(re->code);
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->match);
    pcre2_jit_stack_free(s->stack);
    pcre2_general_context_free(s->general);
}

int web_regex_state_new(struct wr_arena *arena, struct web_regex_state **out)
{
    struct web_regex_state *s = wr_arena_zalloc(arena, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->arena = arena;
    s->most_groups = 1;
    s->general = general_new();
    if (!s->general)
        return -ENOMEM;
    int err = wr_arena_defer(arena, state_free, s);
    if (err) {
        pcre2_general_context_free(s->general);
        return err;
    }
    *out = s;
    return 0;
}

void web_regex_state_ready(struct web_regex_state *state, bool jit)
{
    /* Without machine code a pattern is interpreted: slower, and the same. */
    for (struct web_regex *re = state->list; jit && re; re = re->next)
        (void)pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);
}

uint32_t web_regex_most_groups(const struct web_regex_state *state)
{
    return state->most_groups;
}

/* ---- compiling ----------------------------------------------------------------------------------------------- */

static int fail_compile(struct conf_load *load, const struct conf_node *node, uint32_t word,
                        struct wr_span pattern, int code, size_t at)
{
    PCRE2_UCHAR text[160];
    if (pcre2_get_error_message(code, text, sizeof(text)) < 0)
        text[0] = '\0';
    if (at >= pattern.n)
        return conf_fail(load, node, word, "pcre2_compile() failed: %s in \"%.*s\"",
                         (const char *)text, WR_SPANF(pattern));
    return conf_fail(load, node, word, "pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"",
                     (const char *)text, WR_SPANF(pattern),
                     WR_SPANF(wr_span_sub(pattern, at, pattern.n)));
}

/* The name's variable; a row that says "not found" until the pattern matches. */
static int name_variable(struct conf_load *load, const struct conf_node *node, uint32_t word,
                         struct wr_span name, uint32_t *out_index)
{
    struct web_var *v = wr_arena_zalloc(load->arena, sizeof(*v));
    if (!v)
        return -ENOMEM;
    v->get = web_var_none;
    v->flags = WEB_VAR_CHANGEABLE | WEB_VAR_WEAK;
    int err = web_var_define(load, node, word, name, v);
    return err ? err : web_var_index(load, node, word, name, out_index);
}

/* The name table: rows of equal size, the group's number in two bytes, then the name. */
static int read_names(struct conf_load *load, const struct conf_node *node, uint32_t word,
                      struct web_regex *re)
{
    uint32_t n = 0, size = 0;
    PCRE2_SPTR row = NULL;
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &n);
    if (!n)
        return 0;
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &row);
    re->named = wr_arena_zalloc(load->arena, n * sizeof(*re->named));
    if (!re->named)
        return -ENOMEM;
    for (; re->nnamed < n; row += size) {
        struct named *named = &re->named[re->nnamed++];
        named->group = (uint32_t)row[0] << 8 | row[1];
        int err =
            name_variable(load, node, word, wr_span_str((const char *)row + 2), &named->index);
        if (err)
            return err;
    }
    return 0;
}

int web_regex_compile(struct conf_load *load, const struct conf_node *node, uint32_t word,
                      struct wr_span pattern, bool caseless, struct web_regex **out)
{
    struct web_regex_state *state = web_vars_regex(web_vars_of(load));
    struct web_regex *re = wr_arena_zalloc(load->arena, sizeof(*re));
    pcre2_compile_context *context = pcre2_compile_context_create(state->general);
    int code = 0;
    size_t at = 0;
    if (!re || !context || wr_arena_dup(load->arena, pattern, &re->text)) {
        pcre2_compile_context_free(context);
        return -ENOMEM;
    }
    re->code = pcre2_compile((PCRE2_SPTR)re->text.p, re->text.n, caseless ? PCRE2_CASELESS : 0,
                             &code, &at, context);
    pcre2_compile_context_free(context);
    if (!re->code)
        return fail_compile(load, node, word, pattern, code, at);
    re->state = state;
    re->next = state->list;
    state->list = re; /* from here on the generation frees it */
    (void)pcre2_pattern_info(re->code, PCRE2_INFO_CAPTURECOUNT, &re->groups);
    re->groups++;
    if (re->groups > state->most_groups)
        state->most_groups = re->groups;
    *out = re;
    return read_names(load, node, word, re);
}

uint32_t web_regex_groups(const struct web_regex *re)
{
    return re->groups;
}

/* ---- matching ------------------------------------------------------------------------------------------------- */

static int prepare(struct web_regex_state *s)
{
    if (WR_LIKELY(s->match != NULL))
        return 0;
    if (!s->data)
        s->data = pcre2_match_data_create(s->most_groups, s->general);
    pcre2_match_context *match = s->data ? pcre2_match_context_create(s->general) : NULL;
    if (!match)
        return -ENOMEM;
    pcre2_set_match_limit(match, MATCH_LIMIT);
    pcre2_set_depth_limit(match, DEPTH_LIMIT);
    pcre2_set_heap_limit(match, HEAP_LIMIT_K);
    s->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, s->general);
    if (s->stack)
        pcre2_jit_stack_assign(match, NULL, s->stack);
    s->match = match;
    return 0;
}

/* The number of groups that took part; 0: no match; negative: PCRE2's error. */
static int run(const struct web_regex *re, struct wr_span subject)
{
    struct web_regex_state *s = re->state;
    if (prepare(s))
        return PCRE2_ERROR_NOMEMORY;
    int rc = pcre2_match(re->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
                         s->data, s->match);
    return rc == PCRE2_ERROR_NOMATCH ? 0 : rc;
}

int web_regex_test(const struct web_regex *re, struct wr_span subject)
{
    int rc = run(re, subject);
    return rc > 0 ? 1 : rc;
}

static int keep_captures(struct web_req *r, const struct web_regex *re, uint32_t matched,
                         struct wr_span subject)
{
    const size_t *at = pcre2_get_ovector_pointer(re->state->data);
    if (!r->captures) {
        r->captures = wr_arena_alloc(r->arena, re->state->most_groups * sizeof(*r->captures));
        if (!r->captures)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < re->groups; i++) {
        bool took = i < matched && at[2 * i] != PCRE2_UNSET;
        r->captures[i] = took ? wr_span(subject.p + at[2 * i], at[2 * i + 1] - at[2 * i])
                              : (struct wr_span){0};
    }
    r->ncaptures = re->groups;
    for (uint32_t i = 0; i < re->nnamed; i++) {
        struct wr_span s = r->captures[re->named[i].group];
        web_var_put(r, re->named[i].index, s.p ? s : WR_LIT(""));
    }
    return 0;
}

int web_regex_match(struct web_req *r, const struct web_regex *re, struct wr_span subject)
{
    if (!subject.p)
        subject = WR_LIT("");
    int rc = run(re, subject);
    if (rc == 0)
        return 0;
    if (rc < 0) {
        PCRE2_UCHAR text[160];
        if (pcre2_get_error_message(rc, text, sizeof(text)) < 0)
            text[0] = '\0';
        web_error(r, WR_LOG_ERROR, 0, "pcre2_match() failed: %s on \"%.*s\" using \"%.*s\"",
                  (const char *)text, WR_SPANF(subject), WR_SPANF(re->text));
        return rc == PCRE2_ERROR_NOMEMORY ? -ENOMEM : WR_E_RANGE;
    }
    int err = keep_captures(r, re, (uint32_t)rc, subject);
    return err ? err : 1;
}
