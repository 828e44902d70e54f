#include "net/stack.h"

#include "lib/console.h"
#include "lib/domain.h"
#include "lib/text.h"
#include "net/card.h"
#include "net/heap.h"
#include "net/tenant.h"

#include <lwip/dhcp.h>
#include <lwip/etharp.h>
#include <lwip/init.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>

#include <string.h>

/* Frames to take before the ledgers' turn. */
#define FRAMES_IN_TURN 32u
#define TICK_MS 250u

static struct netif interface;

uint32_t sys_now(void) {
    return (uint32_t)(ticks() / (ticks_per_second() / 1000));
}

static err_t send_frame(struct netif *to, struct pbuf *buffer) {
    (void)to;
    if (buffer->tot_len > CARD_FRAME) return ERR_BUF;
    uint8_t *frame = card_room();
    if (frame == NULL) return ERR_MEM;
    card_send(pbuf_copy_partial(buffer, frame, buffer->tot_len, 0));
    return ERR_OK;
}

bool stack_receive(void) {
    uint32_t count = 0;
    uint32_t length;
    const uint8_t *frame;
    while (count < FRAMES_IN_TURN && (frame = card_receive(&length)) != NULL) {
        count++;
        struct pbuf *buffer = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_POOL);
        if (buffer != NULL) (void)pbuf_take(buffer, frame, (u16_t)length);
        card_give_back();
        if (buffer != NULL && interface.input(buffer, &interface) != ERR_OK) pbuf_free(buffer);
    }
    connections_acknowledge();
    return count > 0;
}

static void print_address(struct netif *of) {
    static uint32_t said;
    const ip4_addr_t *address = netif_ip4_addr(of);
    if (address->addr == said) return;
    said = address->addr;
    char number[16];
    struct text text = {0};
    text_add(&text, said == 0 ? "no address" : "address ");
    if (said != 0) {
        text_add(&text, ip4addr_ntoa_r(address, number, sizeof number));
        text_add(&text, ", netmask ");
        text_add(&text, ip4addr_ntoa_r(netif_ip4_netmask(of), number, sizeof number));
        text_add(&text, ", gateway ");
        text_add(&text, ip4addr_ntoa_r(netif_ip4_gw(of), number, sizeof number));
    }
    console(text.bytes);
}

static err_t begin_interface(struct netif *of) {
    of->name[0] = 'e';
    of->name[1] = 'n';
    of->mtu = CARD_FRAME - CARD_HEADER;
    of->hwaddr_len = ETH_HWADDR_LEN;
    of->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
    of->output = etharp_output;
    of->linkoutput = send_frame;
    return ERR_OK;
}

static void update_link(void) {
    const bool has = card_has_link();
    if (has == (netif_is_link_up(&interface) != 0)) return;
    console(has ? "the cable is plugged in" : "the cable is not plugged in");
    if (has) netif_set_link_up(&interface);
    if (!has) netif_set_link_down(&interface);
}

static void tick_network(void *unused) {
    (void)unused;
    tenants_tick();
    update_link();
    sys_timeout(TICK_MS, tick_network, NULL);
}

static void print_card(const uint8_t address[6]) {
    struct text text = {0};
    text_add(&text, "network card");
    for (int i = 0; i < 6; i++) {
        text_add(&text, i == 0 ? " " : ":");
        const char digits[] = {"0123456789abcdef"[address[i] >> 4], "0123456789abcdef"[address[i] & 15], 0};
        text_add(&text, digits);
    }
    console(text.bytes);
}

const char *stack_begin(uintptr_t queue_physical) {
    heap_begin(AT_HEAP, SIZE_HEAP);
    lwip_init();
    ip4_addr_t address = {lwip_htonl(NET_ADDRESS)};
    ip4_addr_t netmask = {lwip_htonl(NET_NETMASK)};
    ip4_addr_t gateway = {lwip_htonl(NET_GATEWAY)};
    const char *wrong = card_begin(AT_DEVICE, AT_QUEUE, queue_physical, interface.hwaddr);
    if (wrong != NULL) return wrong;
    if (netif_add(&interface, &address, &netmask, &gateway, NULL, begin_interface, ethernet_input) == NULL)
        return "lwIP has no room for the card";
    print_card(interface.hwaddr);
    netif_set_hostname(&interface, "totebox");
    netif_set_default(&interface);
    netif_set_status_callback(&interface, print_address);
    if (card_has_link()) netif_set_link_up(&interface);
    netif_set_up(&interface);
    print_address(&interface);
    if (NET_DHCP && dhcp_start(&interface) != ERR_OK) return "lwIP has no room for DHCP";
    sys_timeout(TICK_MS, tick_network, NULL);
    return NULL;
}

void stack_timers(void) {
    sys_check_timeouts();
}

uint32_t stack_due(void) {
    return sys_timeouts_sleeptime();
}
