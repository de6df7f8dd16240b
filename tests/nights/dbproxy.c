/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Night 002: a proxy with a pool of database connections, in front of a real MariaDB.
 *
 *     dbproxy PORT POOL [fixed]
 *
 *     GET /fast    borrows a connection, asks, gives it back
 *     GET /report  borrows one and forgets to give it back: the rows were never closed
 *
 * A thread for each request. Who finds the pool empty waits, without a limit. Nothing removes a connection that the server has closed.
 */
#include "tests/nights/night.h"

#include <errmsg.h>
#include <mysql.h>
#include <pthread.h>
#include <stdint.h>

#define MOST 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t returned = PTHREAD_COND_INITIALIZER;
static MYSQL *idle[MOST];
static int n_idle;
static unsigned db_port;
static bool closes_rows;

static MYSQL *open_one(void)
{
    MYSQL *db = mysql_init(NULL);
    must(db && mysql_real_connect(db, "127.0.0.1", "night", "night", "night", db_port, NULL, 0),
         "mysql_real_connect");
    return db;
}

static MYSQL *borrow(void)
{
    (void)pthread_mutex_lock(&lock);
    while (n_idle == 0)
        (void)pthread_cond_wait(&returned, &lock);
    MYSQL *db = idle[--n_idle];
    (void)pthread_mutex_unlock(&lock);
    return db;
}

static void give_back(MYSQL *db)
{
    (void)pthread_mutex_lock(&lock);
    idle[n_idle++] = db;
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_cond_signal(&returned);
}

/* 0, or the client library's error: 2006 says that nothing was sent, 2013 that the answer is missing. */
static unsigned query(MYSQL *db, char *out, size_t n)
{
    MYSQL_RES *rows = NULL;
    if (mysql_query(db, "SELECT name FROM build WHERE id = 1") == 0)
        rows = mysql_store_result(db);
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    (void)snprintf(out, n, "%s\n", row ? row[0] : mysql_error(db));
    unsigned err = row ? 0 : mysql_errno(db);
    if (rows)
        mysql_free_result(rows);
    return err;
}

/* As pools do: what was surely not sent is asked again on a new connection; else nobody knows whether it was done. */
static unsigned ask(MYSQL **io_db, char *out, size_t n)
{
    unsigned err = query(*io_db, out, n);
    if (err == 0)
        return 0;
    mysql_close(*io_db);
    *io_db = open_one();
    return err == CR_SERVER_GONE_ERROR ? query(*io_db, out, n) : err;
}

static void *serve(void *arg)
{
    char request[1024] = "", text[256], head[96];
    int fd = (int)(intptr_t)arg;
    (void)!recv(fd, request, sizeof request - 1, 0);
    bool report = strncmp(request, "GET /report", 11) == 0;
    MYSQL *db = borrow();
    unsigned err = ask(&db, text, sizeof text);
    if (!report || closes_rows) /* the bug is this line */
        give_back(db);
    int h = snprintf(head, sizeof head, "HTTP/1.0 %s\r\nContent-Length: %zu\r\n\r\n",
                     err ? "500 Internal Server Error" : "200 OK", strlen(text));
    (void)send(fd, head, (size_t)h, MSG_NOSIGNAL | MSG_MORE);
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)close(fd);
    return NULL;
}

int main(int argc, char **argv)
{
    must(argc > 2, "dbproxy PORT POOL [fixed]");
    closes_rows = argc > 3;
    db_port = (unsigned)(int)strtol(argv[1], NULL, 10);
    must(mysql_library_init(0, NULL, NULL) == 0, "mysql_library_init");
    for (int i = 0; i < (int)strtol(argv[2], NULL, 10) && i < MOST; i++)
        idle[n_idle++] = open_one();
    int listener = listen_here(100);
    started();
    for (;;) {
        pthread_t t;
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) == 0)
            (void)pthread_detach(t);
    }
}
