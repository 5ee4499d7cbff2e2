/* SPDX-License-Identifier: MIT-0 */
/* Where the store's bytes lie on an ESP32. A card is read ahead by a task, into the store's second buffer, while core 0
 * computes on the first. Card drivers use bounce buffers of their own where a buffer is not fit for DMA. */
#include "espidf_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_store.h"
#include "esp_log.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"

#if CONFIG_BITMAR_MEMORY_PARTITION
#include "esp_partition.h"

#define MEMORY_TYPE 0x40
#define MEMORY_SUBTYPE 0x01

static const esp_partition_t *partition;

static bm_store_status flash_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    (void)context;
    return esp_partition_read(partition, (size_t)offset, to, n) == ESP_OK ? BM_STORE_OK : BM_STORE_IO;
}

/* Units of the store are sectors of the flash, so each is erased and written as a whole. */
static bm_store_status flash_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    (void)context;
    if (esp_partition_erase_range(partition, (size_t)offset, n) != ESP_OK) return BM_STORE_IO;
    return esp_partition_write(partition, (size_t)offset, from, n) == ESP_OK ? BM_STORE_OK : BM_STORE_IO;
}

static bm_store_status flash_sync(void *context)
{
    (void)context;
    return BM_STORE_OK; /* written when the call returns */
}

static const char *open_device(bm_store_device *device)
{
    partition = esp_partition_find_first(
        (esp_partition_type_t)MEMORY_TYPE, (esp_partition_subtype_t)MEMORY_SUBTYPE, NULL);
    if (!partition)
        return "the partition table has no partition for the memory; flash the one of this project";
    const bm_store_device flash = {flash_read, flash_write, flash_sync, NULL, NULL, partition->size};
    *device = flash;
    return NULL;
}

#else
#include "esp_vfs_fat.h"
#include "sdmmc_cmd.h"
#if CONFIG_BITMAR_MEMORY_SDSPI
#include "driver/sdspi_host.h"
#include "driver/spi_common.h"
#else
#include "driver/sdmmc_host.h"
#endif
#if CONFIG_BITMAR_SD_LDO
#include "sd_pwr_ctrl_by_on_chip_ldo.h"
#endif

#define CARD "/sdcard"
#define STORE CARD "/memory.store"
#define READER_STACK 4096
/* The reader mostly waits for the card's DMA. It has core 1; where that is missing it goes before the model, so that the next
 * block is asked for as soon as one is there. */
#if CONFIG_FREERTOS_UNICORE
#define READER_CORE 0
#define READER_ABOVE 1u
#else
#define READER_CORE 1
#define READER_ABOVE 0u
#endif
enum { IDLE, WANTED, THERE };

#define JOBS 4 /* one for each buffer of the store */

static struct {
    int file;
    TaskHandle_t reader;
    SemaphoreHandle_t done;  /* given after every job */
    struct {
        uint64_t offset;
        void *to;
        uint32_t n;
        int state;           /* atomic */
    } job[JOBS];
} card = {.file = -1};

static int state_of(int i) { return __atomic_load_n(&card.job[i].state, __ATOMIC_ACQUIRE); }

static void set_state(int i, int state) { __atomic_store_n(&card.job[i].state, state, __ATOMIC_RELEASE); }

/* The job of a buffer, or a new one for it; -1 if there are too many. */
static int job_of(const void *to)
{
    for (int i = 0; i < JOBS; i++)
        if (card.job[i].to == to || !card.job[i].to) return i;
    return -1;
}

/* The file has one position: nobody else uses it while the reader does. Waiting for ticks instead would round every block up to
 * a millisecond, which is longer than a card takes for it. */
static void finish(void)
{
    for (int i = 0; i < JOBS; i++)
        while (state_of(i) == WANTED) xSemaphoreTake(card.done, portMAX_DELAY);
}

static bm_store_status read_at(uint64_t offset, void *to, uint32_t n)
{
    if (lseek(card.file, (off_t)offset, SEEK_SET) < 0) return BM_STORE_IO;
    for (uint8_t *p = to; n > 0;) {
        const ssize_t got = read(card.file, p, n);
        if (got <= 0) return BM_STORE_IO;
        p += got;
        n -= (uint32_t)got;
    }
    return BM_STORE_OK;
}

static void read_ahead(void *unused)
{
    (void)unused;
    for (;;) {
        ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
        for (int i = 0; i < JOBS; i++) {
            if (state_of(i) != WANTED) continue;
            set_state(
                i, read_at(card.job[i].offset, card.job[i].to, card.job[i].n) == BM_STORE_OK ? THERE : IDLE);
            xSemaphoreGive(card.done);
        }
    }
}

static void card_prefetch(void *context, uint64_t offset, void *to, uint32_t n)
{
    const int i = job_of(to);
    (void)context;
    if (i < 0 || !card.reader || state_of(i) == WANTED) return;
    card.job[i].offset = offset;
    card.job[i].to = to;
    card.job[i].n = n;
    set_state(i, WANTED);
    xTaskNotifyGive(card.reader);
}

/* What was read ahead into this buffer, or else a read of its own. */
static bm_store_status card_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    const int i = job_of(to);
    (void)context;
    finish();
    const int there = i >= 0 && state_of(i) == THERE && card.job[i].offset == offset && card.job[i].n == n;
    if (i >= 0) set_state(i, IDLE);
    return there ? BM_STORE_OK : read_at(offset, to, n);
}

static bm_store_status card_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    (void)context;
    finish();
    for (int i = 0; i < JOBS; i++) set_state(i, IDLE);
    if (lseek(card.file, (off_t)offset, SEEK_SET) < 0) return BM_STORE_IO;
    for (const uint8_t *p = from; n > 0;) {
        const ssize_t put = write(card.file, p, n);
        if (put <= 0) return BM_STORE_IO;
        p += put;
        n -= (uint32_t)put;
    }
    return BM_STORE_OK;
}

static bm_store_status card_sync(void *context)
{
    (void)context;
    return fsync(card.file) == 0 ? BM_STORE_OK : BM_STORE_IO;
}

/* Some chips power the card themselves. */
static esp_err_t power_card(sdmmc_host_t *host)
{
#if CONFIG_BITMAR_SD_LDO
    const sd_pwr_ctrl_ldo_config_t regulator = {.ldo_chan_id = CONFIG_BITMAR_SD_LDO};
    return sd_pwr_ctrl_new_on_chip_ldo(&regulator, &host->pwr_ctrl_handle);
#else
    (void)host;
    return ESP_OK;
#endif
}

static esp_err_t mount_card(void)
{
    const esp_vfs_fat_mount_config_t mount = {
        .format_if_mount_failed = false, .max_files = 2, .allocation_unit_size = 0};
    sdmmc_card_t *info = NULL;
#if CONFIG_BITMAR_MEMORY_SDSPI
    sdmmc_host_t host = SDSPI_HOST_DEFAULT();
    const spi_bus_config_t bus = {.mosi_io_num = CONFIG_BITMAR_SD_MOSI,
        .miso_io_num = CONFIG_BITMAR_SD_MISO,
        .sclk_io_num = CONFIG_BITMAR_SD_CLK,
        .quadwp_io_num = -1,
        .quadhd_io_num = -1};
    sdspi_device_config_t slot = SDSPI_DEVICE_CONFIG_DEFAULT();
    slot.gpio_cs = CONFIG_BITMAR_SD_CS;
    slot.host_id = (spi_host_device_t)host.slot;
    esp_err_t error = power_card(&host);
    if (error == ESP_OK) error = spi_bus_initialize((spi_host_device_t)host.slot, &bus, SPI_DMA_CH_AUTO);
    return error != ESP_OK ? error : esp_vfs_fat_sdspi_mount(CARD, &host, &slot, &mount, &info);
#else
    sdmmc_host_t host = SDMMC_HOST_DEFAULT();
    host.max_freq_khz = SDMMC_FREQ_HIGHSPEED;
    sdmmc_slot_config_t slot = SDMMC_SLOT_CONFIG_DEFAULT();
    slot.width = CONFIG_BITMAR_SD_WIDTH;
    slot.clk = CONFIG_BITMAR_SD_CLK;
    slot.cmd = CONFIG_BITMAR_SD_CMD;
    slot.d0 = CONFIG_BITMAR_SD_D0;
    slot.d1 = CONFIG_BITMAR_SD_D1;
    slot.d2 = CONFIG_BITMAR_SD_D2;
    slot.d3 = CONFIG_BITMAR_SD_D3;
    slot.flags |= SDMMC_SLOT_FLAG_INTERNAL_PULLUP;
    const esp_err_t error = power_card(&host);
    return error != ESP_OK ? error : esp_vfs_fat_sdmmc_mount(CARD, &host, &slot, &mount, &info);
#endif
}

static const char *open_device(bm_store_device *device)
{
    static StaticSemaphore_t semaphore;
    struct stat info;
    card.done = xSemaphoreCreateBinaryStatic(&semaphore);
    if (mount_card() != ESP_OK) return "there is no SD card, or none with a FAT file system";
    card.file = open(STORE, O_RDWR);
    const int read_only = card.file < 0;
    if (read_only) card.file = open(STORE, O_RDONLY);
    if (card.file < 0 || fstat(card.file, &info) != 0)
        return "the SD card has no file memory.store; copy the project's there";
    if (xTaskCreatePinnedToCore(read_ahead, "card", READER_STACK, NULL,
            uxTaskPriorityGet(NULL) + READER_ABOVE, &card.reader, READER_CORE) != pdPASS)
        card.reader = NULL;                      /* slower, but right */
    const bm_store_device file = {
        card_read, read_only ? NULL : card_write, card_sync, card_prefetch, NULL, (uint64_t)info.st_size};
    *device = file;
    return NULL;
}
#endif

const char *espidf_store_start(bm_state *s, int updated)
{
    static bm_store store;
    bm_store_device device;
    const char *why = open_device(&device);
    if (why) return why;
    const bm_store_status status = bm_store_open(
        &store, &device, BM_SLOTS, BM_D, bm_model_digest(s), bm_store_work(s));
    if (status == BM_STORE_MODEL && updated) {
        ESP_LOGW("bitmar", "going on without the memory: %s", bm_store_text(status));
        return NULL;
    }
    if (status != BM_STORE_OK) return bm_store_text(status);
    const bm_tier rows = bm_store_tier(&store);
    bm_use_memory(s, &rows);
    return NULL;
}
