/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_PB_PB_H
#define WR_PB_PB_H

/*
 * Protocol buffer messages (protobuf-c) on framed connections: an optional library of its own,
 * libweir_pb, so that the core needs nothing.
 *
 * Sending packs straight into the block that is written to the socket. Receiving unpacks a frame into an
 * arena, so that a request's message goes with everything else of the request, and nothing has to be
 * freed field by field.
 *
 * 1. A message over the codec's maximum is WR_E_TOO_BIG before anything is packed.
 * 2. What is unpacked points into the arena, never into the frame.
 * 3. Malformed bytes are WR_E_PROTO, refused memory is -ENOMEM: the two are told apart.
 *
 * Loop thread only.
 */

#include "libweir/base/bytes.h"
#include "libweir/base/mem_arena.h"
#include "libweir/conn/conn.h"

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

/* As wr_conn_send_bytes. */
int wr_conn_send_pb(struct wr_conn *c, const struct ProtobufCMessage *message);

/* *out_message: cast it to the type of the descriptor. The arena keeps what a failed call allocated
 * until it is rewound. */
WR_MUST int wr_pb_unpack(const struct ProtobufCMessageDescriptor *type, struct wr_arena *arena,
                         struct wr_view frame, struct ProtobufCMessage **out_message);

#endif
