/*
 * Phrases that look a packet's bucket up.
 */
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>

#include "nft_key.h"
#include "nft_rule_words.h"
#include "selection.h"

static const struct nft_payload source_port = {NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, false};
static const struct nft_payload destination_port = {NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, false};
static const struct nft_payload ether_destination = {NFT_PAYLOAD_LL_HEADER, 0, 6, false};

static const uint8_t zero[16];

/* What a hash is made of, into register 2 and what follows it: the address or the
 * network; if `port`, with the port. */
static void hash_key(struct nft_rule *r, const struct vip_config *vip, bool port, uint16_t buckets,
                     char *words, size_t size)
{
    static const struct {
        const char *text;
        uint8_t byte[16];
    } network[] = {
        [FAMILY_IP4] = {"255.255.255.0", {255, 255, 255}},
        [FAMILY_IP6] = {"ffff:ffff:ffff:ffff::", {255, 255, 255, 255, 255, 255, 255, 255}},
    };
    enum family family = vip->address.family;
    struct nft_payload source = nft_families[family].saddr;
    bool masked = vip->affinity == AFFINITY_NETWORK;

    snprintf(words, size, "jhash %s saddr%s%s%s mod %u seed 0x%x", nft_families[family].ip,
             masked ? " & " : "", masked ? network[family].text : "", port ? " . th sport" : "",
             buckets, SELECTION_HASH_SEED);
    nft_expr_hash_load(r, source, 0);
    if (masked)
        nft_expr_hash_mask(r, network[family].byte, source.length);
    if (port)
        nft_expr_hash_load(r, source_port, source.length);
    nft_expr_jhash(r, source.length + (port ? NFT_REG32_SIZE : 0), buckets, SELECTION_HASH_SEED);
}

/* The key into register 1, and its words into `words`. */
static void bucket_key(struct nft_rule *r, const struct vip_config *vip, enum nft_key key,
                       uint16_t buckets, char *words, size_t size)
{
    struct nft_entry mask = {.length = 0};
    struct nft_payload from = nft_families[vip->address.family].saddr;
    bool port = vip->affinity == AFFINITY_FLOW && key == NFT_KEY_CLIENT;
    char text[NFT_KEY_TEXT];

    if (key >= NFT_KEY_SERVICES)
        mask = nft_key_entry(vip, key, buckets - 1u);
    switch (nft_key_form(vip, key)) {
    case NFT_FORM_NUMBER:
        hash_key(r, vip, port, buckets, words, size);
        return;
    case NFT_FORM_SERVICE:
        snprintf(words, size, "meta l4proto . th dport");
        nft_expr_meta(r, NFT_META_L4PROTO);
        nft_expr_payload_next(r, destination_port);
        return;
    case NFT_FORM_PROTOCOL:
        snprintf(words, size, "meta l4proto");
        nft_expr_meta(r, NFT_META_L4PROTO);
        return;
    case NFT_FORM_ADDRESS:
        if (key == NFT_KEY_ANY) {
            snprintf(words, size, "%s daddr", nft_families[vip->address.family].ip);
            nft_expr_payload(r, nft_families[vip->address.family].daddr);
            return;
        }
        snprintf(words, size, "%s saddr & %s", nft_families[vip->address.family].ip,
                 nft_key_text(vip, key, &mask, text));
        break;
    case NFT_FORM_PORT:
        from = source_port;
        snprintf(words, size, "th sport & %s", nft_key_text(vip, key, &mask, text));
        break;
    case NFT_FORM_MAX:
        break;
    }
    nft_expr_payload(r, from);
    nft_expr_bitwise(r, mask.byte, zero, mask.length);
}

void nft_rule_bucket_not_in(struct nft_rule *r, const struct vip_config *vip, uint16_t buckets,
                            const char *set)
{
    unsigned offset = nft_quick_offset(vip);
    struct nft_payload from = {NFT_PAYLOAD_NETWORK_HEADER, offset, NFT_QUICK_BYTES, false};
    uint16_t mask = nft_quick_key(buckets - 1u);

    nft_rule_say(r, "@nh,%u,%d & 0x%x != @%s", offset * 8, NFT_QUICK_BYTES * 8, buckets - 1u, set);
    nft_expr_payload(r, from);
    nft_expr_bitwise(r, &mask, zero, sizeof mask);
    nft_expr_lookup(r, false, set);
}

enum { KEY_WORDS_BYTES = 128 };

void nft_rule_bucket_vmap(struct nft_rule *r, const struct vip_config *vip, enum nft_key key,
                          uint16_t buckets, const char *map)
{
    char words[KEY_WORDS_BYTES];

    bucket_key(r, vip, key, buckets, words, sizeof words);
    nft_rule_say(r, "%s vmap @%s", words, map);
    nft_expr_map(r, map, NFT_REG_VERDICT);
}

void nft_rule_bucket_ether_daddr(struct nft_rule *r, const struct vip_config *vip, enum nft_key key,
                                 uint16_t buckets, const char *map)
{
    char words[KEY_WORDS_BYTES];

    bucket_key(r, vip, key, buckets, words, sizeof words);
    nft_rule_say(r, "ether daddr set %s map @%s", words, map);
    nft_expr_map(r, map, NFT_REG_1);
    nft_expr_payload_set(r, ether_destination);
}
