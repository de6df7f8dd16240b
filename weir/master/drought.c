/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/drought.h"

#include "libweir/base/num.h"
#include "libweir/base/span.h"
#include "libweir/io/log.h"
#include "libweir/os/os.h"
#include "weir/master/master_private.h"

#if WR_DEBUG

static bool wanted(uint64_t *out_first, uint64_t *out_step)
{
    struct wr_span first, text = {0};
    for (char **e = wr_os_environ(); e && *e; e++)
        if (wr_span_has_prefix(wr_span_str(*e), WR_LIT("WEIR_REFUSE=")))
            text = wr_span_str(*e + 12);
    return wr_span_split(&text, ',', &first) && wr_num_parse_u64(first, out_first) == 0 &&
           wr_num_parse_u64(text, out_step) == 0;
}

const struct wr_heap *drought_heap(struct drought *d, uint64_t generation)
{
    uint64_t first, step;
    d->nth = 0;
    if (!wanted(&first, &step))
        return NULL;
    d->nth = first + generation * step;
    wr_heap_counting_init(&d->count, wr_os_heap());
    wr_heap_failing_init(&d->failing, &d->count.heap, 0, 0, 1);
    return &d->failing.heap;
}

void drought_begin(struct drought *d)
{
    if (d->nth)
        d->failing.fault.nth = d->failing.fault.seen + d->nth;
}

void drought_end(struct drought *d, struct wr_log *log)
{
    if (d->nth)
        process_say(log, NULL, WR_LOG_NOTICE,
                    "drought: nth=%llu refused=%llu objects=%zu bytes=%zu",
                    (unsigned long long)d->nth, (unsigned long long)d->failing.fault.refused,
                    d->count.objects, d->count.bytes);
}

#else

const struct wr_heap *drought_heap(struct drought *d, uint64_t generation)
{
    (void)generation;
    d->nth = 0;
    return NULL;
}

void drought_begin(struct drought *d)
{
    (void)d;
}

void drought_end(struct drought *d, struct wr_log *log)
{
    (void)d;
    (void)log;
}

#endif
