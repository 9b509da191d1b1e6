/*
 * simavr_harness.c: an AVR chip in libsimavr, its USART0 behind TCP on 127.0.0.1 or a pseudo terminal.
 *
 *     simavr_harness MCU HERTZ [--image ELF] [--boot HEX] [--eeprom FILE] [--pty]
 *
 * prints "listening on 127.0.0.1:PORT", or the name of the terminal, serves one peer after the other, and ends when
 * standard input closes; it then prints "cycles N stack N": clock cycles, and the bytes of stack that were in use at
 * most. The EEPROM file is read at the start, if it is there, and written at the end: what a chip keeps while it is
 * switched off. While the chip sleeps and nothing comes, time passes no faster than outside.
 *
 * With a boot loader (Intel HEX) the chip is as on an Arduino board: flash is empty where no image is given, every reset
 * leads to the boot loader, which may write flash, and a peer that opens the line resets the chip, as DTR does through
 * the capacitor on the board. While the boot loader runs, time passes as outside: it waits for its peer by the clock. Until
 * its peer's first byte it passes more slowly: the second that it waits is meant for a peer that starts at once, and on a
 * busy computer one may not.
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
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>
#include <simavr/sim_hex.h>
#include <simavr/sim_regbit.h>
#include <simavr/avr_eeprom.h>
#include <simavr/avr_uart.h>

#define NO_FILE (-1)
/* Cycles between two looks at the sockets while the chip is at work. */
#define CYCLES_BETWEEN_LOOKS 2000u
/* A chip that is paced and falls behind by more than this, as this computer is busy, does not hurry to catch up. */
#define LARGEST_LAG_NANOSECONDS 20000000
#define NANOSECONDS 1000000000
/* How much slower time passes in the boot loader until its peer says something. */
#define PATIENCE 8

static struct {
    avr_t *avr;
    avr_irq_t *input;
    int listener;
    int peer;
    int terminal; /* our end of the pseudo terminal */
    bool running;
    bool ready_for_byte; /* the chip's receiver has room */
    size_t taken;        /* bytes of `incoming` that the chip has */
    size_t filled;
    uint8_t incoming[4096];
    size_t waiting; /* bytes of `outgoing` that are still to be sent */
    uint8_t outgoing[4096];
    unsigned lowest_stack; /* address of the stack pointer at its lowest */
    uint32_t boot_start;   /* first address of the boot loader; 0: there is none */
    bool peer_has_spoken;  /* since it opened the line */
    bool paced;
    avr_cycle_count_t paced_since_cycle;
    int64_t paced_since;
} harness = {.listener = NO_FILE, .peer = NO_FILE, .terminal = NO_FILE, .running = true, .ready_for_byte = true};

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

/* A pseudo terminal that passes bytes on as they are. Nobody has it open yet. */
static bool make_terminal(void)
{
    struct termios settings;
    int user;

    harness.terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (harness.terminal < 0 || grantpt(harness.terminal) != 0 || unlockpt(harness.terminal) != 0) {
        return false;
    }
    user = open(ptsname(harness.terminal), O_RDWR | O_NOCTTY);
    if (user < 0 || tcgetattr(user, &settings) != 0) {
        return false;
    }
    cfmakeraw(&settings);
    if (tcsetattr(user, TCSANOW, &settings) != 0) {
        return false;
    }
    close(user);
    printf("listening on %s\n", ptsname(harness.terminal));
    fflush(stdout);
    return true;
}

/* As the reset pin does: the chip starts anew and finds out why. */
static void reset_from_outside(avr_t *avr)
{
    avr_reset(avr);
    avr_regbit_set(avr, avr->reset_flags.extrf);
    harness.ready_for_byte = true;
    harness.paced = false;
}

static void open_peer(int file)
{
    harness.peer = file;
    harness.peer_has_spoken = false;
    if (harness.boot_start != 0) {
        reset_from_outside(harness.avr);
    }
}

static void close_peer(void)
{
    if (harness.peer != harness.terminal) {
        close(harness.peer);
    }
    harness.peer = NO_FILE;
    harness.taken = harness.filled = harness.waiting = 0;
}

static void flush_outgoing(void)
{
    size_t sent = 0;

    while (harness.peer != NO_FILE && sent < harness.waiting) {
        const bool is_terminal = harness.peer == harness.terminal;
        const uint8_t *bytes = harness.outgoing + sent;
        const size_t count = harness.waiting - sent;
        const ssize_t result =
            is_terminal ? write(harness.peer, bytes, count) : send(harness.peer, bytes, count, MSG_NOSIGNAL);

        if (result > 0) {
            sent += (size_t)result;
        } else if (is_terminal && errno == EAGAIN) {
            break; /* a peer that does not read loses bytes, as with any adapter */
        } else if (errno != EINTR) {
            close_peer();
        }
    }
    harness.waiting = 0;
}

static void accept_peer(void)
{
    const int file = accept(harness.listener, NULL, NULL);
    int on = 1;

    if (file >= 0) {
        /* A reply is one small segment; waiting to fill a larger one would cost 40 ms a step. */
        setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        open_peer(file);
    }
}

static void receive(void)
{
    const ssize_t result = read(harness.peer, harness.incoming, sizeof(harness.incoming));

    if (result > 0) {
        harness.taken = 0;
        harness.filled = (size_t)result;
        if (!harness.peer_has_spoken) {
            harness.peer_has_spoken = true;
            harness.paced = false;
        }
    } else if (result == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_peer();
    }
}

static void wait_for(int64_t nanoseconds)
{
    const struct timespec span = {.tv_sec = nanoseconds / NANOSECONDS, .tv_nsec = nanoseconds % NANOSECONDS};

    nanosleep(&span, NULL);
}

/* Look at standard input, the listener or the terminal, and the peer, for at most so many milliseconds. */
static void look(int milliseconds)
{
    const bool on_terminal = harness.terminal != NO_FILE;
    struct pollfd files[2] = {
        {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
        {.fd = harness.peer, .events = POLLIN, .revents = 0},
    };
    char ignored[64];

    flush_outgoing();
    if (harness.taken < harness.filled) {
        return;
    }
    if (harness.peer == NO_FILE) {
        files[1].fd = on_terminal ? harness.terminal : harness.listener;
    }
    if (poll(files, 2, milliseconds) <= 0 && (!on_terminal || harness.peer != NO_FILE)) {
        return;
    }
    if (files[0].revents != 0 && read(STDIN_FILENO, ignored, sizeof(ignored)) <= 0) {
        harness.running = false;
    }
    if (on_terminal && harness.peer == NO_FILE) {
        /* A terminal that nobody has open hangs up, and says so without waiting. */
        if ((files[1].revents & POLLHUP) == 0) {
            open_peer(harness.terminal);
        } else if (milliseconds > 0) {
            wait_for((int64_t)milliseconds * 1000000);
        }
    } else if (files[1].revents == 0) {
        return;
    } else if (harness.peer == NO_FILE) {
        accept_peer();
    } else if (on_terminal && (files[1].revents & POLLIN) == 0) {
        close_peer();
    } else {
        receive();
    }
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * NANOSECONDS + time.tv_nsec;
}

/* While the boot loader runs, the chip's time is not ahead of ours, and slower than ours until its peer speaks. */
static void pace(const avr_t *avr)
{
    int64_t ahead;

    if (avr->pc < harness.boot_start) {
        harness.paced = false;
        return;
    }
    if (!harness.paced) {
        harness.paced = true;
        harness.paced_since = now();
        harness.paced_since_cycle = avr->cycle;
    }
    ahead = (int64_t)((avr->cycle - harness.paced_since_cycle) * NANOSECONDS / avr->frequency);
    ahead *= harness.peer_has_spoken ? 1 : PATIENCE;
    ahead -= now() - harness.paced_since;
    if (ahead > 0) {
        wait_for(ahead);
    } else if (ahead < -LARGEST_LAG_NANOSECONDS) {
        harness.paced = false;
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
 * Start-up code sets the stack pointer to the end of RAM; before that it is 0. A function that takes room for variables
 * writes first the high byte of the pointer and then the low one. What stands there in between, when only the high byte
 * has changed, is no place that the stack was at.
 */
static void note_stack(const avr_t *avr)
{
    static unsigned last;
    const unsigned pointer = (unsigned)avr->data[R_SPL] | (unsigned)avr->data[R_SPH] << 8;

    if (pointer != last && ((pointer ^ last) & 0xffu) == 0u) {
        return;
    }
    last = pointer;
    if (pointer > 0xffu && pointer < harness.lowest_stack) {
        harness.lowest_stack = pointer;
    }
}

static bool is_in_boot_loader(const avr_t *avr)
{
    return harness.boot_start != 0 && avr->pc >= harness.boot_start;
}

static void run(avr_t *avr)
{
    avr_cycle_count_t next_look = 0;
    int state = cpu_Running;

    while (harness.running && state != cpu_Done) {
        if (harness.ready_for_byte && harness.taken < harness.filled) {
            avr_raise_irq(harness.input, harness.incoming[harness.taken++]);
        }
        state = avr_run(avr);
        if (state == cpu_Crashed && !is_in_boot_loader(avr)) {
            fprintf(stderr, "the firmware crashed at address 0x%05x\n", (unsigned)avr->pc);
            return;
        }
        if (state == cpu_Crashed) {
            /*
             * Bytes that were not meant for it, as of a host that asks what the board runs, can be a page of any length to
             * a boot loader. It writes beyond RAM then, which simavr takes for the end; a chip's watchdog starts it anew.
             */
            reset_from_outside(avr);
            state = cpu_Running;
        }
        note_stack(avr);
        if (avr->cycle >= next_look) {
            if (harness.boot_start != 0) {
                pace(avr);
            }
            look(0);
            next_look = avr->cycle + CYCLES_BETWEEN_LOOKS;
        }
    }
}

static bool load_image(avr_t *avr, const char *path)
{
    static elf_firmware_t firmware;

    if (elf_read_firmware(path, &firmware) != 0) {
        return false;
    }
    avr_load_firmware(avr, &firmware);
    return true;
}

/* Put a boot loader into flash, and let every reset lead to it, as the fuse BOOTRST does. */
static bool load_boot_loader(avr_t *avr, const char *path)
{
    ihex_chunk_p chunks = NULL;
    const int count = read_ihex_chunks(path, &chunks);
    uint32_t start = avr->flashend + 1u;

    for (int i = 0; i < count; ++i) {
        if (chunks[i].baseaddr > avr->flashend || chunks[i].size > avr->flashend + 1u - chunks[i].baseaddr) {
            return false;
        }
        memcpy(avr->flash + chunks[i].baseaddr, chunks[i].data, chunks[i].size);
        start = chunks[i].baseaddr < start ? chunks[i].baseaddr : start;
    }
    free_ihex_chunks(chunks);
    if (count <= 0 || start == 0) {
        return false;
    }
    avr->codeend = avr->flashend;
    avr->reset_pc = start;
    harness.boot_start = start;
    reset_from_outside(avr);
    return true;
}

int main(int argc, char **argv)
{
    const char *image = NULL;
    const char *boot = NULL;
    const char *eeprom = NULL;
    bool on_terminal = false;
    bool understood = argc >= 3;

    for (int i = 3; i < argc && understood; ++i) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--pty") == 0) {
            on_terminal = true;
        } else if (value == NULL) {
            understood = false;
        } else if (strcmp(argv[i], "--image") == 0) {
            image = argv[++i];
        } else if (strcmp(argv[i], "--boot") == 0) {
            boot = argv[++i];
        } else if (strcmp(argv[i], "--eeprom") == 0) {
            eeprom = argv[++i];
        } else {
            understood = false;
        }
    }
    if (!understood || (image == NULL && boot == NULL)) {
        fprintf(stderr, "usage: %s MCU HERTZ [--image ELF] [--boot HEX] [--eeprom FILE] [--pty]\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    avr_global_logger_set(quiet_logger);
    harness.avr = avr_make_mcu_by_name(argv[1]);
    if (harness.avr == NULL) {
        fprintf(stderr, "libsimavr knows no chip %s\n", argv[1]);
        return 1;
    }
    avr_init(harness.avr);
    memset(harness.avr->flash, 0xff, harness.avr->flashend + 1u);
    if (image != NULL && !load_image(harness.avr, image)) {
        return fail(image);
    }
    if (boot != NULL && !load_boot_loader(harness.avr, boot)) {
        fprintf(stderr, "%s is no boot loader for this chip in Intel HEX\n", boot);
        return 1;
    }
    harness.avr->frequency = (uint32_t)strtoul(argv[2], NULL, 10);
    harness.avr->sleep = sleep_until_next_event;
    harness.avr->log = LOG_ERROR;
    harness.lowest_stack = harness.avr->ramend;
    connect_uart(harness.avr);
    if (eeprom != NULL) {
        load_eeprom(harness.avr, eeprom);
    }
    if (!(on_terminal ? make_terminal() : listen_on_loopback())) {
        return fail("cannot listen");
    }
    run(harness.avr);
    printf("cycles %llu stack %u\n", (unsigned long long)harness.avr->cycle, harness.avr->ramend - harness.lowest_stack);
    if (eeprom != NULL && !save_eeprom(harness.avr, eeprom)) {
        return fail(eeprom);
    }
    return 0;
}
