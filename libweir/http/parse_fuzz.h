/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_PARSE_FUZZ_H
#define WR_HTTP_PARSE_FUZZ_H

/*
 * What must hold for any bytes given to the head parser: with and without SIMD, whole and in pieces it
 * says the same; and what it accepts survives being written and read again.
 */

#include "libweir/base/assert.h"
#include "libweir/http/parse.h"
#include "libweir/http/write.h"

#include <stdlib.h>

#define FUZZ_FIELDS 100

struct fuzzed {
    enum wr_parsed result;
    struct wr_parse parse;
    struct wr_head head;
    struct wr_field fields[FUZZ_FIELDS];
};

typedef enum wr_parsed fuzz_parse_fn(struct wr_parse *p, struct wr_span bytes);

static inline void fuzz_begin(struct fuzzed *f, bool is_response)
{
    wr_head_init(&f->head, f->fields, FUZZ_FIELDS);
    if (is_response)
        wr_parse_init_response(&f->parse, &f->head, WR_METHOD_GET, NULL);
    else
        wr_parse_init_request(&f->parse, &f->head, NULL);
}

static inline void fuzz_same_span(struct wr_span a, struct wr_span b)
{
    WR_ASSERT(wr_span_eq(a, b));
}

static inline void fuzz_same(const struct fuzzed *a, const struct fuzzed *b)
{
    const struct wr_head *x = &a->head, *y = &b->head;
    WR_ASSERT(a->result == b->result);
    WR_ASSERT(a->parse.refusal.reason == b->parse.refusal.reason);
    WR_ASSERT(a->parse.refusal.at == b->parse.refusal.at);
    if (a->result != WR_PARSED_DONE)
        return;
    WR_ASSERT(wr_head_validate(x) && wr_head_validate(y));
    WR_ASSERT(x->body == y->body && x->content_length == y->content_length);
    WR_ASSERT(x->keep_alive == y->keep_alive && x->expect_continue == y->expect_continue);
    WR_ASSERT(x->method == y->method && x->form == y->form && x->status == y->status);
    WR_ASSERT(x->nfields == y->nfields);
    fuzz_same_span(x->method_text, y->method_text);
    fuzz_same_span(x->target, y->target);
    fuzz_same_span(x->authority, y->authority);
    for (uint32_t i = 0; i < x->nfields; i++) {
        fuzz_same_span(x->fields[i].name, y->fields[i].name);
        fuzz_same_span(x->fields[i].value, y->fields[i].value);
        WR_ASSERT(x->fields[i].id == y->fields[i].id);
    }
}

static inline void fuzz_whole(struct fuzzed *f, struct wr_span text, bool is_response,
                              fuzz_parse_fn *fn)
{
    fuzz_begin(f, is_response);
    f->result = fn(&f->parse, text);
}

/* Pieces of a size that wanders with the content, each time in fresh memory of that very size. */
static inline void fuzz_split(struct fuzzed *f, struct wr_span text, bool is_response,
                              char *mem[2])
{
    unsigned seed = (unsigned)text.n * 2654435761u + 1;
    size_t n = 0;
    fuzz_begin(f, is_response);
    f->result = WR_PARSED_MORE;
    while (n < text.n && f->result == WR_PARSED_MORE) {
        seed = seed * 1103515245u + 12345u;
        n += 1 + (seed >> 16) % 23;
        n = n < text.n ? n : text.n;
        free(mem[0]);
        mem[0] = mem[1];
        mem[1] = malloc(n);
        WR_ASSERT(mem[1]);
        memcpy(mem[1], text.p, n);
        f->result = wr_parse_head(&f->parse, wr_span(mem[1], n));
    }
}

/* Accepted, written, read again: the same message. The target's line may be spelled with our version. */
static inline void fuzz_round_trip(const struct fuzzed *f, struct wr_span text,
                                   bool is_response)
{
    static struct fuzzed again;
    struct wr_writer w;
    size_t cap = text.n + 256, n = 0;
    char *mem = malloc(cap);
    WR_ASSERT(mem);
    wr_writer_init(&w, mem, cap);
    wr_write_head(&w, &f->head);
    int err = wr_write_end(&w, (struct wr_span){0}, &n);
    WR_ASSERT(err == 0);
    fuzz_whole(&again, wr_span(mem, n), is_response, wr_parse_head);
    if (f->head.minor == 1)
        fuzz_same(f, &again);
    free(mem);
}

static inline void fuzz_head(const uint8_t *data, size_t size, bool is_response)
{
    static struct fuzzed whole, other;
    struct wr_span text = wr_span(data, size);
    char *mem[2] = {NULL, NULL};
    fuzz_whole(&whole, text, is_response, wr_parse_head);
    fuzz_whole(&other, text, is_response, wr_parse_head_scalar);
    fuzz_same(&whole, &other);
    if (size) {
        fuzz_split(&other, text, is_response, mem);
        fuzz_same(&whole, &other);
    }
    if (whole.result == WR_PARSED_DONE)
        fuzz_round_trip(&whole, text, is_response);
    free(mem[0]);
    free(mem[1]);
}

#endif
