/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/conf/conf.h"

#include "libweir/base/err.h"
#include "libweir/base/num.h"

#include <errno.h>

/* ---- reading -------------------------------------------------------------------------------------------------- */

int conf_read_num(struct wr_span text, int64_t *out)
{
    return wr_num_parse_i64(text, out) ? WR_E_SYNTAX : 0;
}

int conf_read_size(struct wr_span text, uint64_t *out)
{
    return wr_num_parse_size(text, out) ? WR_E_SYNTAX : 0;
}

int conf_read_msec(struct wr_span text, uint64_t *out)
{
    return wr_num_parse_duration(text, out) ? WR_E_SYNTAX : 0;
}

int conf_read_sec(struct wr_span text, uint64_t *out)
{
    uint64_t ms;
    if (wr_span_find(text, WR_LIT("ms")) >= 0 || conf_read_msec(text, &ms))
        return WR_E_SYNTAX;
    *out = ms / 1000;
    return 0;
}

/* ---- setters ------------------------------------------------------------------------------------------------------ */

static int invalid(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, uint32_t word, const char *what)
{
    return conf_fail_hint(load, node, word,
                          row->syntax ? wr_arena_printf(load->arena, "it is written: %s %s",
                                                        row->name, row->syntax)
                                      : NULL,
                          "\"%s\" directive %s", row->name, what);
}

static bool is_off(const struct conf_row *row, struct wr_span text)
{
    return row->data && wr_span_eq(text, wr_span_str(row->data));
}

int conf_set_flag(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    struct wr_span word = conf_arg(node, 1);
    bool on = wr_span_ieq(word, WR_LIT("on"));
    if (!on && !wr_span_ieq(word, WR_LIT("off")))
        return conf_fail(load, node, 1,
                         "invalid value \"%.*s\" in \"%s\" directive, it must be \"on\" or "
                         "\"off\"",
                         WR_SPANF(word), row->name);
    *(bool *)field = on;
    return 0;
}

int conf_set_num(struct conf_load *load, const struct conf_node *node,
                 const struct conf_row *row, void *field)
{
    static const struct conf_range natural = {0, INT64_MAX};
    const struct conf_range *range = row->data ? row->data : &natural;
    int64_t n;
    if (conf_read_num(conf_arg(node, 1), &n) || (n < 0 && range->min >= 0))
        return invalid(load, node, row, 1, "invalid number");
    if (n < range->min && range->max == INT64_MAX)
        return conf_fail(load, node, 1, "value must be equal to or greater than %lld",
                         (long long)range->min);
    if (n < range->min || n > range->max)
        return conf_fail(load, node, 1, "value must be between %lld and %lld",
                         (long long)range->min, (long long)range->max);
    *(int64_t *)field = n;
    return 0;
}

int conf_set_size(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    struct wr_span word = conf_arg(node, 1);
    uint64_t v = UINT64_MAX;
    if (!is_off(row, word) && conf_read_size(word, &v))
        return invalid(load, node, row, 1, "invalid value");
    *(uint64_t *)field = v;
    return 0;
}

int conf_set_msec(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    struct wr_span word = conf_arg(node, 1);
    uint64_t v = UINT64_MAX;
    if (!is_off(row, word) && conf_read_msec(word, &v))
        return invalid(load, node, row, 1, "invalid value");
    *(uint64_t *)field = v;
    return 0;
}

int conf_set_sec(struct conf_load *load, const struct conf_node *node,
                 const struct conf_row *row, void *field)
{
    struct wr_span word = conf_arg(node, 1);
    uint64_t v = UINT64_MAX;
    if (!is_off(row, word) && conf_read_sec(word, &v))
        return invalid(load, node, row, 1, "invalid value");
    *(uint64_t *)field = v;
    return 0;
}

int conf_set_text(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    (void)load;
    (void)row;
    *(struct wr_span *)field = conf_arg(node, 1);
    return 0;
}

static int enum_value(struct conf_load *load, const struct conf_node *node,
                      const struct conf_row *row, uint32_t word, int *out)
{
    struct wr_span text = conf_arg(node, word);
    for (const struct conf_enum *e = row->data; e->name; e++) {
        if (wr_span_ieq(text, wr_span_str(e->name))) {
            *out = e->value;
            return 0;
        }
    }
    return conf_fail_hint(load, node, word,
                          row->syntax ? wr_arena_printf(load->arena, "it is written: %s %s",
                                                        row->name, row->syntax)
                                      : NULL,
                          "invalid value \"%.*s\"", WR_SPANF(text));
}

int conf_set_enum(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    return enum_value(load, node, row, 1, field);
}

int conf_set_bits(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    uint32_t *bits = field;
    for (uint32_t i = 1; i < node->nwords; i++) {
        int value = 0;
        int err = enum_value(load, node, row, i, &value);
        if (err)
            return err;
        if (value && (*bits & (uint32_t)value) == (uint32_t)value)
            conf_warn(load, node, i, "duplicate value \"%.*s\"", WR_SPANF(conf_arg(node, i)));
        *bits |= (uint32_t)value;
    }
    return 0;
}

int conf_set_bufs(struct conf_load *load, const struct conf_node *node,
                  const struct conf_row *row, void *field)
{
    struct conf_bufs v;
    int64_t n;
    if (conf_read_num(conf_arg(node, 1), &n) || n < 1 || n > INT32_MAX)
        return invalid(load, node, row, 1, "invalid value");
    v.n = (uint32_t)n;
    if (conf_read_size(conf_arg(node, 2), &v.size) || v.size == 0)
        return invalid(load, node, row, 2, "invalid value");
    *(struct conf_bufs *)field = v;
    return 0;
}

static int append(struct conf_load *load, const struct conf_node *node,
                  struct conf_texts *texts)
{
    uint32_t more = node->nwords - 1;
    struct wr_span *list = wr_arena_alloc(load->arena, (texts->n + more + 1) * sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (uint32_t i = 0; i < texts->n; i++)
        list[i] = texts->list[i];
    for (uint32_t i = 0; i < more; i++)
        list[texts->n + i] = conf_arg(node, i + 1);
    texts->list = list;
    texts->n += more;
    return 0;
}

int conf_set_texts(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    (void)row;
    return append(load, node, field);
}

int conf_set_pairs(struct conf_load *load, const struct conf_node *node,
                   const struct conf_row *row, void *field)
{
    if (node->nwords % 2 == 0)
        return invalid(load, node, row, node->nwords - 1, "has a name without a value");
    return append(load, node, field);
}

int conf_set_nothing(struct conf_load *load, const struct conf_node *node,
                     const struct conf_row *row, void *field)
{
    (void)load;
    (void)node;
    (void)row;
    (void)field;
    return 0;
}
