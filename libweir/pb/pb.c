/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/pb/pb.h"

#include "libweir/base/buf.h"
#include "libweir/base/err.h"
#include "libweir/io/loop.h"

#include <errno.h>
#include <protobuf-c/protobuf-c.h>

int wr_conn_send_pb(struct wr_conn *c, const struct ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    struct wr_buf buf;
    char *room;
    if (n == 0)
        return wr_conn_send(c, (struct wr_span){0});
    if (n > WR_BLOCK_MAX)
        return WR_E_TOO_BIG;
    wr_buf_init(&buf, wr_loop_blocks(wr_conn_loop(c)), NULL);
    int rc = wr_buf_reserve(&buf, n, &room);
    if (rc)
        return rc;
    wr_buf_commit(&buf, protobuf_c_message_pack(message, (uint8_t *)room));
    struct wr_bytes bytes = wr_buf_freeze(&buf);
    rc = wr_conn_send_bytes(c, &bytes);
    wr_buf_deinit(&buf);
    return rc;
}

struct from_arena {
    struct wr_arena *arena;
    bool refused;
};

static void *arena_alloc(void *data, size_t n)
{
    struct from_arena *f = data;
    void *p = wr_arena_alloc(f->arena, n);
    f->refused |= !p;
    return p;
}

static void arena_free(void *data, void *p)
{
    (void)data;
    (void)p; /* goes with the arena */
}

int wr_pb_unpack(const struct ProtobufCMessageDescriptor *type, struct wr_arena *arena,
                 struct wr_view frame, struct ProtobufCMessage **out_message)
{
    struct from_arena f = {.arena = arena};
    ProtobufCAllocator allocator = {arena_alloc, arena_free, &f};
    struct wr_span s = wr_view_span(frame);
    struct ProtobufCMessage *m =
        protobuf_c_message_unpack(type, &allocator, s.n, (const uint8_t *)s.p);
    if (!m)
        return f.refused ? -ENOMEM : WR_E_PROTO;
    *out_message = m;
    return 0;
}
