/* SPDX-License-Identifier: MIT-0 */
/* Raspberry Pi 3 and Zero 2 W (BCM2837): PL011 UART, generic timer, watchdog, memory map.
 *
 * Sources: BCM2835 ARM Peripherals (chapters 6, 7, 13; addresses moved to 0x3F000000), QA7 (BCM2836 local peripherals), PrimeCell UART PL011
 * (DDI 0183), Arm Architecture Reference Manual (DDI 0487).
 */
#include "bare.h"

#define REG(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define IO 0x3F000000u
#define ENABLE_IRQS_2 REG(IO + 0xB214)
#define CORE0_TIMERS REG(0x40000040u)
#define PM_RSTC REG(IO + 0x10001C)
#define PM_WDOG REG(IO + 0x100024)
#define PM_PASSWORD 0x5A000000u
#define GPFSEL1 REG(IO + 0x200004)
#define UART_DATA REG(IO + 0x201000)
#define UART_FLAGS REG(IO + 0x201018)
#define UART_IBRD REG(IO + 0x201024)
#define UART_FBRD REG(IO + 0x201028)
#define UART_LINE REG(IO + 0x20102C)
#define UART_CONTROL REG(IO + 0x201030)
#define UART_LEVEL REG(IO + 0x201034)
#define UART_MASK REG(IO + 0x201038)
#define UART_CLEAR REG(IO + 0x201044)
#define UART_EMPTY 0x10u         /* nothing was received */
#define UART_FULL 0x20u          /* what is sent */
#define UART_OVERRUN 0x800u      /* in what is read */
#define UART_IRQ 57u

#define BLOCK (2u << 20)
#define MEMORY 0x711u            /* block, attribute 0, inner shareable, accessed */
#define DEVICE 0x405u            /* block, attribute 1, accessed */

static uint64_t gigabytes[512] __attribute__((aligned(4096))), blocks[512] __attribute__((aligned(4096)));
static bare_ring received;
static uint64_t started;

/* Addresses as they are: memory below the peripherals, devices from there to 2 GB. Returns the first table. */
uint64_t *bare_map(void);
uint64_t *bare_map(void)
{
    for (uint64_t i = 0; i < 512u; i++) blocks[i] = i * BLOCK | (i * BLOCK < IO ? MEMORY : DEVICE);
    gigabytes[0] = (uint64_t)(uintptr_t)blocks | 3u;
    gigabytes[1] = 0x40000000u | DEVICE;
    return gigabytes;
}

static void line_write(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    for (size_t i = 0; i < bytes; i++) {
        while (UART_FLAGS & UART_FULL) continue;
        UART_DATA = p[i];
    }
}

static void line_reset(void *user)
{
    (void)user;
    PM_WDOG = PM_PASSWORD | 10u;
    PM_RSTC = PM_PASSWORD | 0x20u;
    for (;;) continue;
}

/* Called by the interrupt. */
void bare_receive(void);
void bare_receive(void)
{
    __asm__ volatile("msr cntp_ctl_el0, xzr");   /* the timer only wakes */
    UART_CLEAR = 0x7FFu; /* first: a byte that comes while the last ones are taken asks again */
    while (!(UART_FLAGS & UART_EMPTY)) {
        const uint32_t c = UART_DATA;
        received.lost += (c & UART_OVERRUN) != 0;
        bare_ring_put(&received, (uint8_t)c);
    }
}

void bare_fault(uint64_t esr, uint64_t pc, uint64_t address);
void bare_fault(uint64_t esr, uint64_t pc, uint64_t address)
{
    static const char *const names[] = {"ESR", "pc", "address"};
    const uintptr_t values[] = {esr, pc, address};
    bare_say(line_write, "HardFault (exception at EL1)", names, values, 3);
    line_reset(NULL);
}

static uint64_t line_cycles(void *user)
{
    uint64_t t;
    (void)user;
    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(t));
    return t;
}

static uint64_t frequency(void)
{
    uint64_t hz;
    __asm__("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz;
}

static uint32_t line_millis(void *user)
{ return (uint32_t)((line_cycles(user) - started) * 1000u / frequency()); }

static size_t line_read(void *user, void *into, size_t room)
{
    (void)user;
    return bare_ring_take(&received, into, room);
}

static void line_idle(void *user, uint32_t limit)
{
    const uint32_t since = line_millis(user);
    while (received.first == received.end && line_millis(user) - since < limit) {
        __asm__ volatile("msr cntp_tval_el0, %0\n\tmsr cntp_ctl_el0, %1\n\tisb" ::"r"(frequency() / 1000u),
            "r"((uint64_t)1)
            : "memory");
        __asm__ volatile("wfi"); /* a millisecond at most */
    }
}

static uint32_t line_lost(void *user)
{
    (void)user;
    return received.lost;
}

static struct bm_port port = {NULL, line_read, line_write, line_cycles, line_millis, line_reset, 0,
    bare_stack_peak, line_idle, NULL, line_lost};

void bare_start(void)
{
    started = line_cycles(NULL);
    port.cycles_hz = (uint32_t)frequency();
    GPFSEL1 = (GPFSEL1 & ~(0x3Fu << 12)) | 4u << 12 | 4u << 15; /* pins 14 and 15: UART0 */
    UART_CONTROL = 0;
    UART_CLEAR = 0x7FFu;
    UART_IBRD = 26; /* 115200 baud of 48 MHz */
    UART_FBRD = 3;
    UART_LINE = 0x70; /* 8 bits, FIFOs */
    UART_LEVEL = 0; /* an interrupt from an eighth of the FIFO on, or after a pause */
    UART_MASK = 0x50;
    UART_CONTROL = 0x301;
    CORE0_TIMERS = 2u; /* the interrupt of EL1's physical timer */
    ENABLE_IRQS_2 = 1u << (UART_IRQ - 32u);
    __asm__ volatile("msr daifclr, #2" ::: "memory");
}

const struct bm_port *bare_port(void) { return &port; }
