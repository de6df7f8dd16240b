/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/http/message.h"

const struct wr_http_limits wr_http_limits_default = WR_HTTP_LIMITS_DEFAULT;

void wr_head_init(struct wr_head *head, struct wr_field *fields, uint32_t cap)
{
    /* first[] needs no clearing: seen says which of it counts. */
    memset(head, 0, offsetof(struct wr_head, first));
    head->fields = fields;
    head->fields_cap = cap < UINT16_MAX ? cap : UINT16_MAX;
}

static void move_span(struct wr_span *s, const char *from, size_t n, const char *to)
{
    uintptr_t at = (uintptr_t)s->p - (uintptr_t)from;
    if (s->p && at <= n && s->n <= n - at)
        s->p = to + at;
}

void wr_head_rebase(struct wr_head *head, const char *from, size_t n, const char *to)
{
    move_span(&head->method_text, from, n, to);
    move_span(&head->target, from, n, to);
    move_span(&head->authority, from, n, to);
    move_span(&head->reason_text, from, n, to);
    for (uint32_t i = 0; i < head->nfields; i++) {
        move_span(&head->fields[i].name, from, n, to);
        move_span(&head->fields[i].value, from, n, to);
    }
}

const struct wr_field *wr_head_find(const struct wr_head *head, struct wr_span name,
                                    uint32_t *at)
{
    for (uint32_t i = *at; i < head->nfields; i++)
        if (wr_span_ieq(head->fields[i].name, name)) {
            *at = i + 1;
            return &head->fields[i];
        }
    *at = head->nfields;
    return NULL;
}

const struct wr_field *wr_head_next(const struct wr_head *head, enum wr_header id, uint32_t *at)
{
    uint32_t i = *at;
    if (!wr_head_has(head, id))
        i = head->nfields;
    else if (i < head->first[id])
        i = head->first[id];
    for (; i < head->nfields; i++)
        if (head->fields[i].id == id) {
            *at = i + 1;
            return &head->fields[i];
        }
    *at = head->nfields;
    return NULL;
}

#define METHOD_TEXT(name) [WR_METHOD_##name] = WR_LIT(#name),
static const struct wr_span method_texts[] = {
    [WR_METHOD_OTHER] = {"", 0},
      WR_METHODS(METHOD_TEXT)
};

enum wr_method wr_method_of(struct wr_span text)
{
    for (unsigned m = 1; m < WR_ARRAY_LEN(method_texts); m++)
        if (wr_span_eq(text, method_texts[m]))
            return (enum wr_method)m;
    return WR_METHOD_OTHER;
}

struct wr_span wr_method_text(enum wr_method m)
{
    return method_texts[m];
}

bool wr_method_is_safe(enum wr_method m)
{
    return m == WR_METHOD_GET || m == WR_METHOD_HEAD || m == WR_METHOD_OPTIONS ||
           m == WR_METHOD_TRACE;
}

bool wr_method_is_idempotent(enum wr_method m)
{
    return wr_method_is_safe(m) || m == WR_METHOD_PUT || m == WR_METHOD_DELETE;
}

bool wr_head_validate(const struct wr_head *head)
{
    if (head->nfields > head->fields_cap)
        return false;
    uint64_t seen[2] = {0, 0};
    for (uint32_t i = 0; i < head->nfields; i++) {
        const struct wr_field *f = &head->fields[i];
        if (f->name.n == 0 || f->id != wr_header_of(f->name))
            return false;
        if (f->id == WR_H_OTHER)
            continue;
        bool again = seen[f->id >> 6] >> (f->id & 63) & 1;
        if (again ? head->first[f->id] >= i : head->first[f->id] != i)
            return false;
        seen[f->id >> 6] |= UINT64_C(1) << (f->id & 63);
    }
    return seen[0] == head->seen[0] && seen[1] == head->seen[1];
}
