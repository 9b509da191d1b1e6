/*
 * simavr_harness.c: an AVR chip in libsimavr, its USART0 behind TCP on 127.0.0.1.
 *
 *     simavr_harness MCU HERTZ IMAGE [EEPROM]
 *
 * prints "listening on 127.0.0.1:PORT", serves one peer after the other, and ends when standard input closes; it then
 * prints "cycles N stack N": clock cycles, and the bytes of stack that were in use at most. EEPROM is a file that is read at the start, if it is there, and written at the end: what a chip
 * keeps while it is switched off. While the chip sleeps and nothing comes, time passes no faster than outside.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_uart.h>

#define NO_FILE (-1)
/* Cycles between two looks at the sockets while the chip is at work. */
#define CYCLES_BETWEEN_LOOKS 2000u

static struct {
    avr_t *avr;
    avr_irq_t *input;
    int listener;
    int peer;
    bool running;
    bool ready_for_byte; /* the chip's receiver has room */
    size_t taken;        /* bytes of `incoming` that the chip has */
    size_t filled;
    uint8_t incoming[4096];
    size_t waiting; /* bytes of `outgoing` that are still to be sent */
    uint8_t outgoing[4096];
    unsigned lowest_stack; /* address of the stack pointer at its lowest */
    unsigned last_stack;   /* the same an instruction ago */
} harness = {.listener = NO_FILE, .peer = NO_FILE, .running = true, .ready_for_byte = true};

static void quiet_logger(avr_t *avr, const int level, const char *format, va_list arguments)
{
    (void)avr;
    if (level <= LOG_ERROR) {
        vfprintf(stderr, format, arguments);
    }
}

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

static bool listen_on_loopback(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    harness.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (harness.listener < 0 || bind(harness.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(harness.listener, 1) != 0 ||
        getsockname(harness.listener, (struct sockaddr *)&address, &size) != 0) {
        return false;
    }
    printf("listening on 127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return true;
}

static void close_peer(void)
{
    close(harness.peer);
    harness.peer = NO_FILE;
    harness.taken = harness.filled = harness.waiting = 0;
}

static void flush_outgoing(void)
{
    size_t sent = 0;

    while (harness.peer != NO_FILE && sent < harness.waiting) {
        const ssize_t result = send(harness.peer, harness.outgoing + sent, harness.waiting - sent, MSG_NOSIGNAL);

        if (result > 0) {
            sent += (size_t)result;
        } else if (errno != EINTR) {
            close_peer();
        }
    }
    harness.waiting = 0;
}

/* Look at standard input, the listener and the peer, for at most so many milliseconds. */
static void look(int milliseconds)
{
    struct pollfd files[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
        {.fd = harness.peer != NO_FILE ? harness.peer : harness.listener, .events = POLLIN, .revents = 0},
    };
    char ignored[64];

    flush_outgoing();
    if (harness.taken < harness.filled) {
        return;
    }
    if (poll(files, 2, milliseconds) <= 0) {
        return;
    }
    if (files[0].revents != 0 && read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0) {
        harness.running = false;
    }
    if (files[1].revents == 0) {
        return;
    }
    if (harness.peer == NO_FILE) {
        int on = 1;

        harness.peer = accept(harness.listener, NULL, NULL);
        if (harness.peer != NO_FILE) {
            /* A reply is one small segment; waiting to fill a larger one would cost 40 ms a step. */
            setsockopt(harness.peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        }
    } else {
        const ssize_t result = recv(harness.peer, harness.incoming, sizeof(harness.incoming), 0);

        if (result <= 0) {
            close_peer();
        } else {
            harness.taken = 0;
            harness.filled = (size_t)result;
        }
    }
}

/* simavr would sleep as long as the chip does; a byte that comes meanwhile has to wake it. */
static void sleep_until_next_event(avr_t *avr, avr_cycle_count_t cycles)
{
    const uint64_t milliseconds = (uint64_t)cycles * 1000u / avr->frequency;

    /* Less than a millisecond is not worth a wait: the serial line is at work then. */
    look(milliseconds == 0 ? 0 : 1);
}

static void byte_sent(struct avr_irq_t *irq, uint32_t value, void *context)
{
    (void)irq;
    (void)context;
    if (harness.waiting == sizeof(harness.outgoing)) {
        flush_outgoing();
    }
    harness.outgoing[harness.waiting++] = (uint8_t)value;
}

static void receiver_has_room(struct avr_irq_t *irq, uint32_t value, void *context)
{
    (void)irq;
    (void)value;
    (void)context;
    harness.ready_for_byte = true;
}

static void receiver_is_full(struct avr_irq_t *irq, uint32_t value, void *context)
{
    (void)irq;
    (void)value;
    (void)context;
    harness.ready_for_byte = false;
}

static void connect_uart(avr_t *avr)
{
    uint32_t flags = 0;

    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    harness.input = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), byte_sent, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), receiver_has_room, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), receiver_is_full, NULL);
}

static void load_eeprom(avr_t *avr, const char *path)
{
    static uint8_t bytes[8192];
    avr_eeprom_desc_t description = {.ee = bytes, .offset = 0, .size = 0};
    FILE *file = fopen(path, "rb");

    if (file != NULL) {
        description.size = (uint32_t)fread(bytes, 1, sizeof(bytes), file);
        fclose(file);
        avr_ioctl(avr, AVR_IOCTL_EEPROM_SET, &description);
    }
}

static bool save_eeprom(avr_t *avr, const char *path)
{
    static uint8_t bytes[8192];
    avr_eeprom_desc_t description = {.ee = bytes, .offset = 0, .size = (uint32_t)avr->e2end + 1u};
    FILE *file = fopen(path, "wb");
    bool written;

    if (file == NULL) {
        return false;
    }
    avr_ioctl(avr, AVR_IOCTL_EEPROM_GET, &description);
    written = fwrite(bytes, 1, description.size, file) == description.size;
    return fclose(file) == 0 && written;
}

/*
 * What was pushed: one to three bytes by an instruction or an interrupt. A frame that is made moves the pointer further at
 * once, in two halves, between which it points to a place that nobody uses; and start-up code sets it to the end of RAM.
 */
static void note_stack(const avr_t *avr)
{
    const unsigned pointer = (unsigned)avr->data[R_SPL] | (unsigned)avr->data[R_SPH] << 8;
    const unsigned pushed = harness.last_stack - pointer;

    if (pushed >= 1u && pushed <= 3u && pointer < harness.lowest_stack) {
        harness.lowest_stack = pointer;
    }
    harness.last_stack = pointer;
}

static void run(avr_t *avr)
{
    avr_cycle_count_t next_look = 0;
    int state = cpu_Running;

    while (harness.running && state != cpu_Done && state != cpu_Crashed) {
        if (harness.ready_for_byte && harness.taken < harness.filled) {
            avr_raise_irq(harness.input, harness.incoming[harness.taken++]);
        }
        state = avr_run(avr);
        note_stack(avr);
        if (avr->cycle >= next_look) {
            look(0);
            next_look = avr->cycle + CYCLES_BETWEEN_LOOKS;
        }
    }
    if (state == cpu_Crashed) {
        fprintf(stderr, "the firmware crashed at address 0x%05x\n", (unsigned)avr->pc);
    }
}

int main(int argc, char **argv)
{
    elf_firmware_t firmware;

    if (argc != 4 && argc != 5) {
        fprintf(stderr, "usage: %s MCU HERTZ IMAGE [EEPROM]\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    avr_global_logger_set(quiet_logger);
    memset(&firmware, 0, sizeof(firmware));
    if (elf_read_firmware(argv[3], &firmware) != 0) {
        return fail(argv[3]);
    }
    harness.avr = avr_make_mcu_by_name(argv[1]);
    if (harness.avr == NULL) {
        fprintf(stderr, "libsimavr knows no chip %s\n", argv[1]);
        return 1;
    }
    avr_init(harness.avr);
    firmware.frequency = (uint32_t)strtoul(argv[2], NULL, 10);
    avr_load_firmware(harness.avr, &firmware);
    harness.avr->frequency = firmware.frequency;
    harness.avr->sleep = sleep_until_next_event;
    harness.avr->log = LOG_ERROR;
    harness.lowest_stack = harness.avr->ramend;
    connect_uart(harness.avr);
    if (argc == 5) {
        load_eeprom(harness.avr, argv[4]);
    }
    if (!listen_on_loopback()) {
        return fail("cannot listen");
    }
    run(harness.avr);
    printf("cycles %llu stack %u\n", (unsigned long long)harness.avr->cycle, harness.avr->ramend - harness.lowest_stack);
    if (argc == 5 && !save_eeprom(harness.avr, argv[4])) {
        return fail(argv[4]);
    }
    return 0;
}
