/*
 * uno_person.c: an Arduino Uno in libsimavr, and a person before it who likes one of four lights.
 *
 *     uno_person IMAGE LIKED LIGHTS NOISE
 *
 * Lights are on PD4 to PD7, a button is on PD2. Whenever the light LIKED (0 to 3) goes on, the button is pressed a little
 * later for a little while. Prints the number of each light that goes on, on a line of its own, and ends after LIGHTS of
 * them with 0. NOISE seeds what the analog pins read. LIKED -1: nobody is there.
 *
 * UART output goes to standard error. Ends with 3 where the chip crashes, with 4 after five minutes of its time.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <simavr/avr_adc.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>

#define FIRST_LIGHT 4
#define LIGHT_COUNT 4
#define BUTTON 2
#define HERTZ 16000000u
#define REACTION_US 3000u
#define PRESS_US 4000u

static avr_t *avr;
static avr_irq_t *button;
static int liked;
static int lights_left;
static uint32_t noise;

static avr_cycle_count_t release(avr_t *chip, avr_cycle_count_t when, void *context)
{
    (void)chip;
    (void)when;
    (void)context;
    avr_raise_irq(button, 1);
    return 0;
}

static avr_cycle_count_t press(avr_t *chip, avr_cycle_count_t when, void *context)
{
    (void)when;
    avr_raise_irq(button, 0);
    avr_cycle_timer_register_usec(chip, PRESS_US, release, context);
    return 0;
}

static void light_changed(struct avr_irq_t *irq, uint32_t value, void *context)
{
    const int light = (int)(intptr_t)context;

    (void)irq;
    if (value == 0 || lights_left == 0) {
        return;
    }
    printf("%d\n", light);
    --lights_left;
    if (light == liked) {
        avr_cycle_timer_register_usec(avr, REACTION_US, press, NULL);
    }
}

/* The chip begins to convert: its pin floats. */
static void convert(struct avr_irq_t *irq, uint32_t value, void *context)
{
    (void)irq;
    (void)value;
    (void)context;
    for (int channel = 0; channel < 6; ++channel) {
        noise = noise * 1664525u + 1013904223u;
        avr_raise_irq(avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_ADC0 + channel), 2000u + (noise >> 24));
    }
}

static void byte_sent(struct avr_irq_t *irq, uint32_t value, void *context)
{
    (void)irq;
    (void)context;
    fputc((int)value, stderr);
}

int main(int argc, char **argv)
{
    elf_firmware_t firmware;
    uint32_t flags = 0;
    int state = cpu_Running;

    if (argc != 5) {
        fprintf(stderr, "usage: %s IMAGE LIKED LIGHTS NOISE\n", argv[0]);
        return 2;
    }
    liked = atoi(argv[2]);
    lights_left = atoi(argv[3]);
    noise = (uint32_t)strtoul(argv[4], NULL, 10);
    memset(&firmware, 0, sizeof(firmware));
    if (elf_read_firmware(argv[1], &firmware) != 0) {
        return 2;
    }
    avr = avr_make_mcu_by_name("atmega328p");
    avr_init(avr);
    firmware.frequency = HERTZ;
    avr_load_firmware(avr, &firmware);
    avr->frequency = HERTZ;
    avr->avcc = avr->vcc = avr->aref = 5000;
    avr->log = LOG_ERROR;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), byte_sent, NULL);
    for (intptr_t light = 0; light < LIGHT_COUNT; ++light) {
        avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), FIRST_LIGHT + (int)light), light_changed,
                                (void *)light);
    }
    button = avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('D'), BUTTON);
    avr_raise_irq(button, 1);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, ADC_IRQ_OUT_TRIGGER), convert, NULL);
    convert(NULL, 0, NULL);
    while (lights_left > 0) {
        state = avr_run(avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            return 3;
        }
        if (avr->cycle > 300ull * HERTZ) {
            return 4;
        }
    }
    return 0;
}
