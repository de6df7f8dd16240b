/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_REQUEST_PRIVATE_H
#define WEB_REQUEST_PRIVATE_H

/*
 * What the files of a request's life share: request.c (begin, end, what is to be done next), phases.c,
 * answer.c (the head), sink.c (the body on its way out), subrequest.c, error_page.c, body.c.
 *
 * A client's request is a `top`: the main request and what it and its subrequests have in common. Whatever
 * calls into modules does so between web_enter and web_leave; what must not happen in the middle of a
 * module's function (starting, finishing, freeing) is posted and done by the outermost web_leave.
 *
 *   web_enter .. module functions .. web_leave: posted things until there are none, then free if gone
 *
 * 1. A top is freed by the last web_leave after the connection said that its request is done, or by
 *    that very call when nothing is running.
 * 2. t->active is the request whose output may go out: the main one, or the first subrequest in the order
 *    of making that has not ended. All others hold what they are given.
 */

#include "weir/web/core.h"
#include "weir/web/site.h"
#include "weir/web/worker.h"

enum request_todo {
    POST_START = 1,  /* run the phases */
    POST_RESUME = 2, /* go on with resume_rc */
    POST_FINISH = 4, /* with finish_rc */
    POST_DRAIN = 8,  /* tell that there is room */
};

#define REDIRECTS_MAX   10
#define SUB_DEPTH_MAX   50
#define SUBREQUESTS_MAX 200

/* Output that waits: a piece, or the place of a subrequest's output. */
struct held {
    struct held *next;
    struct request *sub; /* NULL: a piece */
    struct web_piece piece;
    char *room; /* that piece.mem may lie in; stays when it is used again */
    size_t room_n;
};

struct request {
    struct web_req r; /* first */
    struct top *top;
    struct request *next; /* of the subrequests */
    struct request *next_posted;
    struct held *held, **held_tail;
    web_phase_fn *const *list; /* of the phase it is in */
    struct web_sub_options options;
    void (*body_fn)(struct web_req *r); /* of web_read_body */
    int finish_rc, resume_rc;
    uint8_t todo;
    bool posted;
    bool last_given; /* the piece marked last came */
    bool last_out;   /* and left its filters */
    bool finished;   /* web_finish was heard */
    bool done;       /* over */
    bool declined;   /* the location's handler wants the content phase */
    bool body_known; /* web_read_body has ended */
    bool sub;
};

struct top {
    struct request q; /* first */
    struct wr_arena arena;
    struct request *posted, **posted_tail;
    struct request *active, *subs;
    uint32_t running;
    uint32_t pending; /* subrequests that have not ended */
    uint32_t nsubs;
    struct web_worker *worker;
    const struct wr_http_conn_limits *limits;
    struct held *queue, **queue_tail; /* limit_rate, directio */
    struct held *spare;               /* to be used again: an answer of any length takes few */
    struct wr_timer rate_timer;
    struct wr_task task;
    uint64_t rate, rate_free, rate_began_ms, rate_sent;
    bool begun;    /* the head is with the connection */
    bool complete; /* and the whole body */
    bool clogged, drain_wanted;
    bool reading;   /* a thread reads for the piece in front of the queue */
    bool no_direct; /* its file system does not want to */
    bool gone;      /* the connection's request is over */
    bool cut;
    bool post_action_made;
    struct body *body;
    struct web_conn conn; /* not zeroed as a whole */
};

static inline struct request *request_of(const struct web_req *r)
{
    return (struct request *)(uintptr_t)r;
}
static inline struct top *top_of(const struct web_req *r)
{
    return request_of(r)->top;
}

/* request.c */
void web_enter(struct top *t);
void web_leave(struct top *t);
/* As web_leave, but what was posted waits for the end of the loop's turn: the caller still holds r. */
void web_leave_later(struct top *t);
void request_post(struct request *q, enum request_todo todo);
void request_init(struct request *q, struct top *t, struct request *parent);
void request_reset_out(struct web_req *r);
void web_set_server(struct web_req *r, const struct web_server *s);
/* Of wr_http_options; arg: struct web_door. */
void request_on_request(struct wr_http_req *http, void *arg);
void request_on_refuse(struct wr_http_req *http, int status, const char *reason, void *arg);
void request_on_done(struct wr_http_req *http, const struct wr_http_done *done, void *arg);
/* The answer cannot go on: the connection is ended. */
void request_cut(struct top *t);

/* phases.c */
void phases_run(struct request *q);
void phases_resume(struct request *q, int rc);

/* answer.c */
WR_MUST int answer_head(struct top *t);
bool answer_has_body(const struct web_req *r);
void answer_end(struct top *t);

/* sink.c */
WR_MUST int sink_take(struct top *t, struct web_piece *pieces);
void sink_begin(struct top *t);
/* From direct.c, between web_enter and web_leave. */
void sink_direct_done(struct top *t, struct wr_span bytes);
void sink_direct_go_on(struct top *t);

/* direct.c: pieces of files from `directio SIZE` on are read by a thread, past the page cache. */
bool direct_wanted(const struct top *t, const struct web_piece *p);
/* At most n bytes of its front. 0: sink_direct_done will come, t->reading until then; -EAGAIN: threads are busy, ask again. */
WR_MUST int direct_read(struct top *t, const struct web_piece *p, uint64_t n);
void sink_drop(struct top *t);
struct held *held_new(struct top *t, struct web_piece *piece); /* moves what it owns */
void held_done(struct top *t, struct held *h);                 /* its piece has gone on */
void held_drop(struct held *h);

/* subrequest.c */
WR_MUST int output_take(struct request *q, struct web_piece *pieces);
/* The active one may have become another: what waited goes out. */
WR_MUST int output_flush(struct top *t);
void subrequest_over(struct request *q, int rc);

/* error_page.c: what web_finish(r, status) answers. As a handler returns. */
int error_page(struct request *q, int status);

/* body.c */
/* It will not come whole: who asks for it from now on, an error page's location, goes without. */
void body_give_up(struct top *t, int err);
void body_drop(struct top *t);

#endif
