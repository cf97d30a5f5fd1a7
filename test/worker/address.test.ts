import { lookup, type LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { AddressRefused, isPublicAddress, literalAddress, publicLookup } from '../../packages/worker/src/address.ts';

describe('an address', () => {
  it.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])(
    '%s is public',
    (address) => {
      expect(isPublicAddress(address)).toBe(true);
    },
  );

  it.each([
    ['this host', '0.0.0.0'],
    ['loopback', '127.8.9.10'],
    ['private, ten', '10.1.2.3'],
    ['private, 172.16/12', '172.31.255.255'],
    ['private, 192.168/16', '192.168.0.1'],
    ['the metadata of a cloud', '169.254.169.254'],
    ['behind a carrier', '100.100.100.200'],
    ['for benchmarks', '198.18.0.1'],
    ['multicast', '224.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['unspecified, IPv6', '::'],
    ['loopback, IPv6', '::1'],
    ['link-local, IPv6', 'fe80::1'],
    ['site-local, IPv6', 'fec0::1'],
    ['unique local, IPv6', 'fd00:ec2::254'],
    ['multicast, IPv6', 'ff02::1'],
    ['IPv4 mapped into IPv6', '::ffff:127.0.0.1'],
    ['IPv4 in its older IPv6 form', '::127.0.0.1'],
    ['IPv4 through NAT64', '64:ff9b::7f00:1'],
    ['IPv4 through 6to4', '2002:7f00:1::'],
    ['IPv4 through Teredo', '2001::1'],
    ['for documentation', '2001:db8::1'],
    ['no address', 'localhost'],
    ['nothing', ''],
  ])('that is %s is not public: %s', (_what, address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  it.each([
    ['http://127.0.0.1/', '127.0.0.1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://2130706433/', '127.0.0.1'],
    ['http://[::1]/', '::1'],
    ['http://[::ffff:127.0.0.1]/', '::ffff:7f00:1'],
    ['http://example.com/', undefined],
  ])('stands literally in %s: %s', (url, address) => {
    expect(literalAddress(new URL(url).hostname)).toBe(address);
  });
});

describe('a lookup for connections that stay outside', () => {
  const looked = (hostname: string, all: boolean) =>
    new Promise<{ error: Error | null; found: LookupAddress[] | string; family: number | undefined }>((resolve) => {
      publicLookup(hostname, { all }, (error, found, family) => resolve({ error, found, family }));
    });

  it('refuses a name that resolves to a private address, and tells which', async () => {
    const { error, found } = await looked('localhost', true);
    expect(error).toBeInstanceOf(AddressRefused);
    expect(error?.message).toMatch(/^localhost resolves to (127\.0\.0\.1|::1), which is not public$/);
    expect(found).toEqual([]);
  });

  it('answers in both shapes of dns.lookup', async () => {
    expect(await looked('8.8.8.8', true)).toEqual({
      error: null,
      found: [{ address: '8.8.8.8', family: 4 }],
      family: undefined,
    });
    expect(await looked('8.8.8.8', false)).toEqual({ error: null, found: '8.8.8.8', family: 4 });
  });

  it('fails as dns.lookup does', async () => {
    const name = 'no host has this name';
    const plain = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
      lookup(name, (error) => resolve(error));
    });
    expect(plain).toBeInstanceOf(Error);
    expect((await looked(name, true)).error).toMatchObject({ syscall: 'getaddrinfo', hostname: name });
  });
});
