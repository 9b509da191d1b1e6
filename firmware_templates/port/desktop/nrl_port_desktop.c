/*
 * nrl_port_desktop.c: the port for a POSIX desktop: the firmware as a process.
 *
 *     program --tcp PORT   listen on 127.0.0.1:PORT (0: any free port) and print "listening on 127.0.0.1:PORT"
 *     program --pty        open a pseudo terminal and print "listening on PATH"
 *     program --stdio      frames on standard input and output
 *
 *     --once               end when the first peer closes (--stdio always does)
 *     --nvm FILE           what the weight store writes goes to FILE, which is made where it is missing; without, it is
 *                          forgotten at the end
 *     --watch-stdin        end when standard input closes: no process is left behind when the parent dies
 *
 * The operating system's generator stands in for a hardware generator.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* posix_openpt, getentropy, cfmakeraw */
#endif

#include "nrl_desktop_nvm.h"
#include "nrl_port.h"
#include "nrl_trng.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 20
#define NO_FILE (-1)

static struct {
    int listener; /* listening socket */
    int in;       /* where bytes come from, NO_FILE while nobody is connected */
    int out;      /* where bytes go */
    int slave;    /* our own hold on the pseudo terminal: it survives while no host has it open */
    bool once;
    bool watch_stdin;
    bool running;
    bool entropy_failed;
    size_t taken; /* bytes of `buffer` that were handed out */
    size_t filled;
    uint8_t buffer[4096];
} port = {.listener = NO_FILE, .in = NO_FILE, .out = NO_FILE, .slave = NO_FILE, .running = true};

static bool nrl_desktop_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return false;
}

static void nrl_desktop_announce(const char *where)
{
    printf("listening on %s\n", where);
    fflush(stdout);
}

static bool nrl_desktop_set_nonblocking(int file)
{
    int flags = fcntl(file, F_GETFL);
    return flags >= 0 && fcntl(file, F_SETFL, flags | O_NONBLOCK) == 0;
}

static bool nrl_desktop_listen_tcp(const char *number)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);
    char text[64];
    int on = 1;
    char *end = NULL;
    long wanted = strtol(number, &end, 10);

    if (*number == '\0' || *end != '\0' || wanted < 0 || wanted > 65535) {
        fprintf(stderr, "--tcp %s: not a port number\n", number);
        return false;
    }
    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)wanted);
    port.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (port.listener < 0 || setsockopt(port.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
        || bind(port.listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(port.listener, 1) != 0
        || getsockname(port.listener, (struct sockaddr *)&address, &size) != 0) {
        return nrl_desktop_fail("cannot listen");
    }
    snprintf(text, sizeof(text), "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    nrl_desktop_announce(text);
    return true;
}

static bool nrl_desktop_open_pty(void)
{
    struct termios settings;
    const char *path;
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0 || (path = ptsname(master)) == NULL) {
        return nrl_desktop_fail("cannot open a pseudo terminal");
    }
    port.slave = open(path, O_RDWR | O_NOCTTY);
    if (port.slave < 0 || tcgetattr(port.slave, &settings) != 0) {
        return nrl_desktop_fail(path);
    }
    cfmakeraw(&settings);
    if (tcsetattr(port.slave, TCSANOW, &settings) != 0 || !nrl_desktop_set_nonblocking(master)) {
        return nrl_desktop_fail(path);
    }
    port.in = master;
    port.out = master;
    nrl_desktop_announce(path);
    return true;
}

static void nrl_desktop_peer_closed(void)
{
    if (port.listener != NO_FILE) {
        close(port.in);
        port.in = NO_FILE;
        port.out = NO_FILE;
    }
    if (port.listener == NO_FILE || port.once) {
        port.running = false;
    }
}

static void nrl_desktop_accept_peer(void)
{
    int on = 1;
    int peer = accept(port.listener, NULL, NULL);
    if (peer < 0) {
        return;
    }
    /* A reply is one small segment; waiting to fill a larger one would cost 40 ms a step. */
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!nrl_desktop_set_nonblocking(peer)) {
        close(peer);
        return;
    }
    port.in = peer;
    port.out = peer;
}

/* Wait one tick at most. True when the file is ready (or broken, which reading or writing it will tell). */
static bool nrl_desktop_wait_for(int file, short events)
{
    struct pollfd files[2] = {
        {.fd = file, .events = events, .revents = 0},
        {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
    };

    if (poll(files, port.watch_stdin ? 2 : 1, TICK_MS) <= 0) {
        return false;
    }
    if (port.watch_stdin && files[1].revents != 0) {
        char ignored;
        if (read(STDIN_FILENO, &ignored, 1) <= 0) {
            port.running = false;
            return false;
        }
    }
    return files[0].revents != 0;
}

/* Fill the empty buffer, or accept a peer. */
static void nrl_desktop_fill(void)
{
    ssize_t result;

    if (!nrl_desktop_wait_for(port.in != NO_FILE ? port.in : port.listener, POLLIN)) {
        return;
    }
    if (port.in == NO_FILE) {
        nrl_desktop_accept_peer();
        return;
    }
    result = read(port.in, port.buffer, sizeof(port.buffer));
    if (result > 0) {
        port.taken = 0;
        port.filled = (size_t)result;
        if (port.once && port.slave != NO_FILE) {
            /* A host has the terminal open: from now on its closing is seen. */
            close(port.slave);
            port.slave = NO_FILE;
        }
    } else if (result == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        nrl_desktop_peer_closed();
    }
}

bool nrl_port_init(int argc, char **argv)
{
    bool opened = false;

    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; ++i) {
        if (strcmp(argv[i], "--once") == 0) {
            port.once = true;
        } else if (strcmp(argv[i], "--watch-stdin") == 0) {
            port.watch_stdin = true;
        } else if (strcmp(argv[i], "--nvm") == 0 && i + 1 < argc) {
            if (!nrl_desktop_open_nvm(argv[++i])) {
                return false;
            }
        } else if (strcmp(argv[i], "--tcp") == 0 && i + 1 < argc && !opened) {
            opened = nrl_desktop_listen_tcp(argv[++i]);
            if (!opened) {
                return false;
            }
        } else if (strcmp(argv[i], "--pty") == 0 && !opened) {
            opened = nrl_desktop_open_pty();
            if (!opened) {
                return false;
            }
        } else if (strcmp(argv[i], "--stdio") == 0 && !opened) {
            port.in = STDIN_FILENO;
            port.out = STDOUT_FILENO;
            opened = true;
        } else {
            opened = false;
            break;
        }
    }
    if (!opened || (port.in == STDIN_FILENO && port.watch_stdin)) {
        fprintf(stderr, "usage: %s (--tcp PORT | --pty) [--once] [--watch-stdin] [--nvm FILE]\n       %s --stdio\n",
                argc > 0 ? argv[0] : "program", argc > 0 ? argv[0] : "program");
        return false;
    }
    return true;
}

bool nrl_port_running(void)
{
    return port.running;
}

bool nrl_port_received(void)
{
    struct pollfd files[2] = {
        {.fd = port.in != NO_FILE ? port.in : port.listener, .events = POLLIN, .revents = 0},
        {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
    };

    return port.taken != port.filled || poll(files, port.watch_stdin ? 2 : 1, 0) > 0;
}

size_t nrl_port_read(uint8_t *bytes, size_t room)
{
    size_t count;
    if (port.taken == port.filled) {
        port.taken = 0;
        port.filled = 0;
        nrl_desktop_fill();
    }
    count = port.filled - port.taken;
    if (count > room) {
        count = room;
    }
    memcpy(bytes, port.buffer + port.taken, count);
    port.taken += count;
    return count;
}

void nrl_port_write(const uint8_t *bytes, size_t length)
{
    while (length != 0 && port.out != NO_FILE && port.running) {
        ssize_t result = write(port.out, bytes, length);
        if (result >= 0) {
            bytes += result;
            length -= (size_t)result;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            nrl_desktop_wait_for(port.out, POLLOUT);
        } else if (errno != EINTR) {
            nrl_desktop_peer_closed();
        }
    }
}

size_t nrl_port_write_room(void)
{
    struct pollfd file = {.fd = port.out, .events = POLLOUT, .revents = 0};
    if (port.out == NO_FILE || poll(&file, 1, 0) != 1 || (file.revents & POLLOUT) == 0) {
        return 0;
    }
    /* The system does not say how much fits; when it is ready to write, that is more than any frame. */
    return sizeof(port.buffer);
}

uint32_t nrl_port_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

uint16_t nrl_port_session(void)
{
    uint16_t session = 0;
    if (getentropy(&session, sizeof(session)) != 0) {
        return (uint16_t)(nrl_port_milliseconds() ^ (uint32_t)getpid());
    }
    return session;
}

bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length)
{
    (void)context;
    while (length != 0) {
        /* getentropy hands out 256 bytes at most. */
        uint16_t count = length > 256u ? 256u : length;
        if (getentropy(bytes, count) != 0) {
            port.entropy_failed = true;
            return false;
        }
        bytes += count;
        length = (uint16_t)(length - count);
    }
    return true;
}

uint8_t nrl_port_entropy_health(void)
{
    return port.entropy_failed ? NRL_TRNG_SILENT : NRL_TRNG_HEALTHY;
}

void nrl_port_entropy_restart(void)
{
    /* The operating system looks after its generator itself. */
}
