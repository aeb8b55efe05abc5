/*
 * The least that an XDP program could do for us: drop what is TCP, UDP or other
 * plain traffic to the VIP of a bucket that is another's, and let all else go
 * on to the rules. And a program that drops everything, to compare with.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32[4]);
    __type(value, __u32);
} vips SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4096);
    __type(key, __u32);
    __type(value, __u8); /* 0: another's */
} buckets SEC(".maps");

static __always_inline int judge(__u32 bucket)
{
    const __u8 *class = bpf_map_lookup_elem(&buckets, &bucket);

    return class != 0 && *class == 0 ? XDP_DROP : XDP_PASS;
}

static __always_inline int judge4(const struct iphdr *ip, const void *end)
{
    __u32 key[4] = {0};
    const __u32 *mask;

    if ((const void *)(ip + 1) > end || ip->protocol == IPPROTO_ICMP)
        return XDP_PASS;
    key[0] = ip->daddr;
    mask = bpf_map_lookup_elem(&vips, key);
    return mask != 0 ? judge(bpf_ntohl(ip->saddr) & *mask) : XDP_PASS;
}

static __always_inline int judge6(const struct ipv6hdr *ip, const void *end)
{
    const __u32 *mask;
    __u32 key[4];

    if ((const void *)(ip + 1) > end || (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP))
        return XDP_PASS;
    __builtin_memcpy(key, &ip->daddr, sizeof key);
    mask = bpf_map_lookup_elem(&vips, key);
    return mask != 0 ? judge(bpf_ntohl(ip->saddr.in6_u.u6_addr32[3]) & *mask) : XDP_PASS;
}

SEC("xdp")
int ours(struct xdp_md *x)
{
    const void *end = (const void *)(long)x->data_end;
    const struct ethhdr *ethernet = (const void *)(long)x->data;

    if ((const void *)(ethernet + 1) > end)
        return XDP_PASS;
    if (ethernet->h_proto == bpf_htons(ETH_P_IP))
        return judge4((const void *)(ethernet + 1), end);
    if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
        return judge6((const void *)(ethernet + 1), end);
    return XDP_PASS;
}

SEC("xdp")
int bare(struct xdp_md *x)
{
    (void)x;
    return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
