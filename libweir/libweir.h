/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_LIBWEIR_H
#define WR_LIBWEIR_H

/*
 * Everything at once. A whole service:
 *
 *     #include <libweir/libweir.h>
 *     static int on_frame(struct wr_conn *c, struct wr_view v)
 *     {
 *         return wr_conn_send_view(c, v);
 *     }
 *     static const struct wr_proto echo = {.on_frame = on_frame};
 *     int main(void)
 *     {
 *         return wr_service_run(&(struct wr_service_options){
 *             .name = "echo", .servers = {{.addr = ":2007", .conn = {.proto = &echo}}}});
 *     }
 *
 * Each header opens with what it is for, its invariants, who owns what and who may call. Start with
 * conn/service.h, conn/server.h, conn/http_server.h, io/loop.h and base/mem.h.
 */

#define WR_VERSION "0.1.0"

#include "libweir/base/assert.h"
#include "libweir/base/base64.h"
#include "libweir/base/block.h"
#include "libweir/base/buf.h"
#include "libweir/base/bytes.h"
#include "libweir/base/chain.h"
#include "libweir/base/compiler.h"
#include "libweir/base/err.h"
#include "libweir/base/hash.h"
#include "libweir/base/heap.h"
#include "libweir/base/hist.h"
#include "libweir/base/list.h"
#include "libweir/base/mem.h"
#include "libweir/base/mem_arena.h"
#include "libweir/base/mem_budget.h"
#include "libweir/base/mem_pool.h"
#include "libweir/base/num.h"
#include "libweir/base/pages.h"
#include "libweir/base/rand.h"
#include "libweir/base/slots.h"
#include "libweir/base/span.h"
#include "libweir/base/table.h"
#include "libweir/base/wheel.h"

#include "libweir/http/body.h"
#include "libweir/http/date.h"
#include "libweir/http/header.h"
#include "libweir/http/message.h"
#include "libweir/http/parse.h"
#include "libweir/http/proxy_header.h"
#include "libweir/http/range.h"
#include "libweir/http/reason.h"
#include "libweir/http/status.h"
#include "libweir/http/token.h"
#include "libweir/http/uri.h"
#include "libweir/http/write.h"

#include "libweir/io/accept.h"
#include "libweir/io/addr.h"
#include "libweir/io/board.h"
#include "libweir/io/connect.h"
#include "libweir/io/fdpass.h"
#include "libweir/io/linger.h"
#include "libweir/io/listen.h"
#include "libweir/io/log.h"
#include "libweir/io/log_sinks.h"
#include "libweir/io/logger.h"
#include "libweir/io/loop.h"
#include "libweir/io/net.h"
#include "libweir/io/outq.h"
#include "libweir/io/pages.h"
#include "libweir/io/ports.h"
#include "libweir/io/proc.h"
#include "libweir/io/recorder.h"
#include "libweir/io/relay.h"
#include "libweir/io/resolve.h"
#include "libweir/io/scope.h"
#include "libweir/io/shm.h"
#include "libweir/io/signal.h"
#include "libweir/io/sock.h"
#include "libweir/io/stream.h"
#include "libweir/io/tls.h"
#include "libweir/io/work.h"

#include "libweir/conn/client.h"
#include "libweir/conn/codec.h"
#include "libweir/conn/conn.h"
#include "libweir/conn/http_crowd.h"
#include "libweir/conn/http_server.h"
#include "libweir/conn/link.h"
#include "libweir/conn/pool.h"
#include "libweir/conn/server.h"
#include "libweir/conn/service.h"

#endif
