/* SPDX-License-Identifier: MIT-0 */
/* The link (bm_serve.h) on UART0 or on the USB-Serial-JTAG port. Log lines of ESP-IDF share the wire: the host tells them apart. */
#include "driver/uart.h"
#include "driver/usb_serial_jtag.h"
#include "esp_cpu.h"
#include "esp_heap_caps.h"
#include "esp_system.h"
#include "esp_timer.h"
#include "espidf.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#include "bm_serve.h"
#if BM_UPDATES
#include "espidf_update.h"
#endif

#define RECEIVED 8192 /* bytes that arrive while the model computes: more than a host sends unanswered */
#define SENT 2048
#define STUCK_MS 500 /* a host that takes nothing for so long loses what is written */

static uint64_t line_cycles(void *user)
{
    static uint32_t last, wraps;
    const uint32_t t = esp_cpu_get_cycle_count();
    (void)user;
    wraps += t < last;
    last = t;
    return (uint64_t)wraps << 32 | t;
}

static uint32_t line_millis(void *user)
{
    (void)user;
    return (uint32_t)(esp_timer_get_time() / 1000);
}

static void line_reset(void *user)
{
    (void)user;
    esp_restart();
}

static size_t line_stack_peak(void *user)
{
    (void)user;
    return CONFIG_ESP_MAIN_TASK_STACK_SIZE - (size_t)uxTaskGetStackHighWaterMark(NULL);
}

#if CONFIG_BITMAR_LINK_USB
static int start(void)
{
    usb_serial_jtag_driver_config_t config = {.tx_buffer_size = SENT, .rx_buffer_size = RECEIVED};
    return usb_serial_jtag_driver_install(&config) == ESP_OK ? 0 : -1;
}

static int take(void *into, size_t room, TickType_t ticks)
{ return usb_serial_jtag_read_bytes(into, (uint32_t)room, ticks); }

static void line_write(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    while (bytes) {
        const int put = usb_serial_jtag_write_bytes(p, bytes, pdMS_TO_TICKS(STUCK_MS));
        if (put <= 0) return;
        p += put;
        bytes -= (size_t)put;
    }
}

#define SET_BAUD NULL
#else
static int start(void)
{ return uart_driver_install(UART_NUM_0, RECEIVED, SENT, 0, NULL, 0) == ESP_OK ? 0 : -1; }

static int take(void *into, size_t room, TickType_t ticks)
{ return uart_read_bytes(UART_NUM_0, into, (uint32_t)room, ticks); }

static void line_write(void *user, const void *from, size_t bytes)
{
    (void)user;
    uart_write_bytes(UART_NUM_0, from, bytes);
}

static int set_baud(void *user, uint32_t baud)
{
    (void)user;
    if (uart_wait_tx_done(UART_NUM_0, pdMS_TO_TICKS(STUCK_MS)) != ESP_OK) return -1;
    return uart_set_baudrate(UART_NUM_0, baud ? baud : CONFIG_ESP_CONSOLE_UART_BAUDRATE) == ESP_OK ? 0 : -1;
}

#define SET_BAUD set_baud
#endif

/* A byte that came while line_idle waited for one. */
static uint8_t early;
static int has_early;

static size_t line_read(void *user, void *into, size_t room)
{
    uint8_t *p = into;
    size_t n = 0;
    (void)user;
    if (has_early && room) {
        p[n++] = early;
        has_early = 0;
    }
    const int got = n < room ? take(p + n, room - n, 0) : 0;
    return n + (got > 0 ? (size_t)got : 0u);
}

static void line_idle(void *user, uint32_t ms)
{
    const TickType_t ticks = pdMS_TO_TICKS(ms);
    (void)user;
    if (!has_early) has_early = take(&early, 1, ticks ? ticks : 1) == 1;
}

#define COUNTS 512u /* values of logits that are counted at a time */

#if CONFIG_BITMAR_TEXT_MODE
#define TEXT_INPUT heap_caps_malloc(BM_ASCII_INPUT, MALLOC_CAP_SPIRAM)
#else
#define TEXT_INPUT NULL
#endif

void espidf_link(bm_state *s, const char *why)
{
    static bm_server server;
    static uint32_t counts[COUNTS];
    static const struct bm_port port = {NULL, line_read, line_write, line_cycles, line_millis, line_reset,
        CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ * 1000000u, line_stack_peak, line_idle, SET_BAUD, NULL};
    if (start() != 0) return;
    bm_serve_init(&server, why ? NULL : s, why, &port, TEXT_INPUT);
    bm_serve_room(&server, counts, COUNTS, NULL, NULL);
#if BM_UPDATES
    if (espidf_updates()->build) server.update = espidf_updates();
#endif
    for (;;) bm_serve_once(&server);
}
