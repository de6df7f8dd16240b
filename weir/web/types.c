/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/web/core.h"

#include <errno.h>

/* types { text/html html htm; ... }: extensions in lower case, by open addressing. */

struct type_slot {
    struct wr_span ext; /* p == NULL: free */
    struct wr_span type;
};

struct core_types {
    struct type_slot *slots;
    uint32_t n, size; /* size: a power of two */
};

#define EXT_MAX 64

static uint32_t hash(struct wr_span s)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h ^ h >> 15;
}

static struct type_slot *slot_of(const struct core_types *t, struct wr_span ext)
{
    uint32_t i = hash(ext) & (t->size - 1);
    while (t->slots[i].ext.p && !wr_span_eq(t->slots[i].ext, ext))
        i = (i + 1) & (t->size - 1);
    return &t->slots[i];
}

static int grow(struct wr_arena *a, struct core_types *t)
{
    struct core_types more = {.size = t->size ? t->size * 2 : 16, .n = t->n};
    more.slots = wr_arena_zalloc(a, more.size * sizeof(*more.slots));
    if (!more.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->size; i++)
        if (t->slots[i].ext.p)
            *slot_of(&more, t->slots[i].ext) = t->slots[i];
    *t = more;
    return 0;
}

static int add(struct wr_arena *a, struct core_types *t, struct wr_span ext,
               struct wr_span type, struct wr_span *out_was)
{
    if (2 * (t->n + 1) > t->size && grow(a, t))
        return -ENOMEM;
    char *low = wr_arena_strndup(a, ext.p, ext.n);
    if (!low)
        return -ENOMEM;
    for (size_t i = 0; i < ext.n; i++)
        low[i] = wr_ascii_lower(low[i]);
    struct type_slot *s = slot_of(t, wr_span(low, ext.n));
    *out_was = s->ext.p ? s->type : (struct wr_span){0};
    t->n += !s->ext.p;
    *s = (struct type_slot){wr_span(low, ext.n), type};
    return 0;
}

int core_set_types(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    struct core_types **place = field, *t = *place;
    if (!t && !(t = *place = wr_arena_zalloc(load->arena, sizeof(*t))))
        return -ENOMEM;
    for (const struct conf_node *line = node->children; line; line = line->next) {
        if (line->error)
            return conf_fail(load, line, 0, "unexpected end of \"types\"");
        if (line->block)
            return conf_fail(load, line, 0, "unexpected \"{\"");
        for (uint32_t i = 1; i < line->nwords; i++) {
            struct wr_span was;
            if (add(load->arena, t, conf_arg(line, i), conf_arg(line, 0), &was))
                return -ENOMEM;
            if (was.p && !wr_span_eq(was, conf_arg(line, 0)))
                conf_warn(load, line, i,
                          "duplicate extension \"%s\", content type: \"%s\", previous content "
                          "type: \"%.*s\"",
                          conf_str(line, i), conf_str(line, 0), WR_SPANF(was));
        }
    }
    return 0;
}

int core_types_default(struct wr_arena *a, struct core_types **out)
{
    struct wr_span was;
    struct core_types *t = wr_arena_zalloc(a, sizeof(*t));
    if (!t || add(a, t, WR_LIT("html"), WR_LIT("text/html"), &was) ||
        add(a, t, WR_LIT("gif"), WR_LIT("image/gif"), &was) ||
        add(a, t, WR_LIT("jpg"), WR_LIT("image/jpeg"), &was))
        return -ENOMEM;
    *out = t;
    return 0;
}

struct wr_span core_type_of(const struct core_location *c, struct wr_span uri)
{
    char low[EXT_MAX];
    size_t at = uri.n;
    while (at && uri.p[at - 1] != '.' && uri.p[at - 1] != '/')
        at--;
    size_t n = uri.n - at;
    bool hidden = at < 2 || uri.p[at - 2] == '/'; /* a dot that begins a name ends none */
    if (hidden || uri.p[at - 1] != '.' || n == 0 || n > EXT_MAX || !c->types->size)
        return c->default_type;
    for (size_t i = 0; i < n; i++)
        low[i] = wr_ascii_lower(uri.p[at + i]);
    const struct type_slot *s = slot_of(c->types, wr_span(low, n));
    return s->ext.p ? s->type : c->default_type;
}

void web_set_type(struct web_req *r)
{
    r->out.type = core_type_of(core_of(r->location), r->uri);
}
