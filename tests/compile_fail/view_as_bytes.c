/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A reader's borrowed packet is queued for later as if it were owned: the aliasing bug. The queue takes
 * wr_bytes, so this must not compile. With -DFIXED it shows the repair and must compile.
 */
#include "libweir/base/bytes.h"

struct queue {
    struct wr_bytes item[16];
    int n;
};

static void queue_push(struct queue *q, struct wr_bytes b)
{
    q->item[q->n++ % 16] = b;
}

void on_packet(struct queue *q, struct wr_view packet);

void on_packet(struct queue *q, struct wr_view packet)
{
#ifdef FIXED
    struct wr_bytes kept;
    if (wr_view_keep(packet, &kept) == 0)
        queue_push(q, kept);
#else
    queue_push(q, packet);
#endif
}
