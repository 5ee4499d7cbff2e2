/* SPDX-License-Identifier: MIT-0 */
#include "espidf_camera.h"

#include <string.h>

#include "bm_patches.h"
#include "esp_camera.h"
#include "esp_heap_caps.h"
#include "espidf_frame.h"
#include "espidf_pins.h"

/* Everything that a picture takes, from PSRAM: internal memory is the model's. */
static struct {
    espidf_frame frame;
    float vectors[2][BM_VISION];
} *seen;

/* 16 MHz: at this clock the driver of the ESP32-S3 moves frames to PSRAM by DMA (esp_camera.h of esp32-camera). One buffer, which
 * is filled when it is free: the driver rests while the model computes. */
static const camera_config_t config = {
    .pin_pwdn = -1,
    .pin_reset = -1,
    .pin_xclk = BM_PIN_CAMERA_XCLK,
    .pin_sccb_sda = BM_PIN_CAMERA_SDA,
    .pin_sccb_scl = BM_PIN_CAMERA_SCL,
    .pin_d7 = BM_PIN_CAMERA_D7,
    .pin_d6 = BM_PIN_CAMERA_D6,
    .pin_d5 = BM_PIN_CAMERA_D5,
    .pin_d4 = BM_PIN_CAMERA_D4,
    .pin_d3 = BM_PIN_CAMERA_D3,
    .pin_d2 = BM_PIN_CAMERA_D2,
    .pin_d1 = BM_PIN_CAMERA_D1,
    .pin_d0 = BM_PIN_CAMERA_D0,
    .pin_vsync = BM_PIN_CAMERA_VSYNC,
    .pin_href = BM_PIN_CAMERA_HREF,
    .pin_pclk = BM_PIN_CAMERA_PCLK,
    .xclk_freq_hz = 16000000,
    .ledc_timer = LEDC_TIMER_0,
    .ledc_channel = LEDC_CHANNEL_0,
    .pixel_format = PIXFORMAT_RGB565,
    .frame_size = FRAMESIZE_240X240,
    .fb_count = 1,
    .fb_location = CAMERA_FB_IN_PSRAM,
    .grab_mode = CAMERA_GRAB_WHEN_EMPTY,
};

const char *espidf_camera_start(void)
{
    if (!bm_picture_side()) return "this model takes features, which no camera gives";
    seen = heap_caps_malloc(sizeof *seen, MALLOC_CAP_SPIRAM);
    if (!seen) return "no PSRAM is left for a picture";
    memset(seen, 0, sizeof *seen);
    if (esp_camera_init(&config) != ESP_OK) return "the camera does not answer; see that its cable sits well";
    sensor_t *sensor = esp_camera_sensor_get();
    if (sensor) sensor->set_vflip(sensor, 1); /* the ESP32-S3-EYE has it upside down (espressif/esp-bsp) */
    return NULL;
}

/* A frame of now: the one that waits is as old as the last picture. */
static camera_fb_t *grab(void)
{
    camera_fb_t *old = esp_camera_fb_get();
    if (!old) return NULL;
    esp_camera_fb_return(old);
    return esp_camera_fb_get();
}

static int is_usable(const camera_fb_t *frame)
{
    const size_t side = frame->width < frame->height ? frame->width : frame->height;
    return frame->format == PIXFORMAT_RGB565 && side && side <= ESPIDF_FRAME_SIDE &&
           frame->len == frame->width * frame->height * 2u;
}

static const float *seen_patch(void *context, uint32_t index, uint32_t side)
{
    (void)context;
    bm_pixels(seen->frame.patches + index * BM_VISION, BM_VISION, seen->vectors[side]);
    return seen->vectors[side];
}

const char *espidf_camera_look(bm_state *s)
{
    camera_fb_t *frame = grab();
    if (!frame) return "the camera gives no picture";
    const int usable = is_usable(frame);
    if (usable) espidf_frame_take(&seen->frame, frame->buf, (unsigned)frame->width, (unsigned)frame->height);
    esp_camera_fb_return(frame);
    if (!usable) return "the camera gives another kind of picture than it was told to";
    bm_begin_episode(s);
    const bm_status status = bm_set_image_from(s, seen_patch, NULL);
    return status == BM_OK ? NULL : bm_status_text(status);
}
