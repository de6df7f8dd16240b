/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PATIENT_H
#define PATIENT_H

/*
 * Patients: small servers that misbehave in exactly one way, and their healthy twins.
 *
 *   patient NAME sick|healthy
 *
 * main (patient.c) makes up to three processes: the other end where a disease needs one (an upstream), the server,
 * and itself as the clients. When the disease is fully there it prints "READY pid" with the server's pid and lives until it is killed;
 * its processes die with it. A patient is one row of the table in patient.c.
 *
 * 1. Sick and healthy differ by one line of the server, marked "the bug is this line".
 * 2. Ports are fixed (PORT, UPSTREAM): a patient runs in a network namespace of its own, never beside real servers.
 * 3. Every load is bounded in rate and in number, and ends after a minute.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PORT     8080
#define UPSTREAM 9100
#define NOWHERE  "10.9.5.5" /* the harness routes it into nothing */
#define MOST     1000000    /* no limit at all */
#define REQUEST  "GET / HTTP/1.1\r\nHost: patient\r\n\r\n"

struct patient {
    const char *name;
    void (*server)(
        bool sick); /* calls up() when it listens; does not come back while it serves */
    void (*clients)(
        bool sick); /* returns, or calls ready() and goes on, when the disease is there */
    void (*other)(
        bool sick); /* runs beside the server, started and up() before it; NULL: nobody */
};

/* ---- between the processes: patient.c ------------------------------------------------------------- */
void check(bool good, const char *what); /* or ends the patient, saying what failed */
void up(void);                           /* server, other: listening */
void await_go(void);                     /* server: until the clients say go() */
void go(void);
void ready(void);       /* clients: the disease is there */
pid_t fork_child(void); /* as fork; the child dies with its parent */
_Noreturn void sleep_for_ever(void);
void nap_ms(unsigned ms);
uint64_t now_ms(void);

/* ---- sockets ------------------------------------------------------------------------------------- */
int listen_on(unsigned port, int backlog);
int listen_shared(unsigned port, int backlog);              /* with SO_REUSEPORT */
int listen_anywhere(int backlog);                           /* at PORT */
int connect_to(const char *addr, unsigned port, int flags); /* flags: SOCK_NONBLOCK */
void say(int fd, const char *text);
void say_when_connected(int fd, const char *text);
void nonblocking(int fd);

/* The clients go to the other end of the wire that the harness laid: v0 (10.8.0.1) here, v1 there. From then on crowd
 * connects to 10.8.0.1; what PATIENT_FAR says is run there. */
void go_far_away(void);
void at_the_far_end(const char *command);

/* ---- clients ---------------------------------------------------------------------------------------- */
/* n connections to PORT, without waiting for their handshake, each with the request sent; "": none. */
void crowd(int fds[], int n, const char *request);
/* Until all n have got a byte, or nothing came for 400 ms; how many got one. */
int settle(const int fds[], int n);
void close_all(int fds[], int n); /* having read what came: an unread byte would reset */
/* A new connection, one request, its whole answer; n times, `every_ms` between. */
void ask_anew(int n, unsigned every_ms);
/* One connection that asks and gets an answer, again and again: `every` ms between; at most a minute. */
void ask_again(unsigned every_ms);

/* ---- a server with one epoll loop -------------------------------------------------------------------- */
struct server {
    int listener, epoll;
    uint32_t listener_events, conn_events; /* 0: EPOLLIN */
    int accept_most;                       /* for one event; 0: until there are no more */
    void (*request)(struct server *s, int fd, const char *bytes,
                    size_t n); /* NULL: says "ok" */
    bool sick;
    bool keep_ended;  /* does not close what its client closed */
    bool deaf;        /* accepts, and never watches what it accepted */
    bool keep_broken; /* does nothing about EPOLLHUP, EPOLLERR and EPOLLRDHUP */
};
_Noreturn void serve(struct server *s);
void watch(const struct server *s, int fd, uint32_t events);

/* ---- the rows ------------------------------------------------------------------------------------- */
extern const struct patient accept_patients[], thread_patients[], conn_patients[],
    path_patients[];

#endif
