import { lookup as resolveHost, type LookupAddress, type LookupOptions } from 'node:dns';
import ipaddr from 'ipaddr.js';

/** The IPv6 addresses that are public at all (IANA, Internet Protocol Version 6 Address Space). */
const givenOut = ipaddr.IPv6.parseCIDR('2000::/3');

/** Azure answers workloads with their credentials at an address from the public range. */
const azureWireServer = '168.63.129.16';

/** Whether an address is out on the internet: not private, loopback, link-local, metadata, or a way around them. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address); // an IPv4 address inside IPv6 is judged as IPv4
  if (parsed instanceof ipaddr.IPv6 && !parsed.match(givenOut)) return false;
  return parsed.range() === 'unicast' && parsed.toString() !== azureWireServer;
}

/** The URL's host as an address, where it is one: `[::1]`, `127.0.0.1`, and what URL made of `0x7f.1`. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return ipaddr.isValid(bare) ? bare : undefined;
}

/** A host resolves to an address it may not have. */
export class AddressRefused extends Error {
  override name = 'AddressRefused';
}

type LookupCallback = (error: Error | null, addresses: LookupAddress[] | string, family?: number) => void;

/** `dns.lookup` for connections that must stay outside: what was checked is what is connected to, so DNS cannot rebind. */
export function publicLookup(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  resolveHost(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, []);
    const refused = addresses.find(({ address }) => !isPublicAddress(address));
    if (refused)
      return callback(new AddressRefused(`${hostname} resolves to ${refused.address}, which is not public`), []);
    const [first] = addresses;
    if (options.all || !first) return callback(null, addresses);
    return callback(null, first.address, first.family);
  });
}
