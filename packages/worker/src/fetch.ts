import { CallError } from '@callyard/shared/failure';
import type { Policy } from '@callyard/shared/policy';
import { retryAfterMs } from '@callyard/shared/retry-after';
import { Agent, fetch as undiciFetch, type Dispatcher, type RequestInit as UndiciInit } from 'undici';
import { AddressRefused, isPublicAddress, literalAddress, publicLookup } from './address.ts';
import { isConnectionError, retryableStatus } from './classify.ts';

/** Bodies beyond this fail, counted as the handler reads them: a few KiB of gzip can hold gigabytes. */
const maxBodyBytes = 10 * 2 ** 20;
const maxRedirects = 5;

export interface FetchOptions {
  /** hosts as the policy lists them: `api.example.com`, `*.example.com`, `localhost:8080`; none means no network */
  hosts: Policy['hosts'];
  signal: AbortSignal;
  /** headers that name the trace, for hosts that the policy marks */
  trace?: Readonly<Record<string, string>>;
}

export type ConfinedFetch = (input: string | URL, init?: RequestInit) => Promise<Response>;

const agentOptions: Agent.Options = { connectTimeout: 10_000 };

/** Connections are kept open between calls; what is internal never shares one with what is not. */
const agents = {
  outside: new Agent({ ...agentOptions, connect: { lookup: publicLookup } }),
  internal: new Agent(agentOptions),
};

/**
 * `fetch`, confined: only hosts of the policy, no private address unless the policy marks the host as internal, at
 * connect and on each redirect; bounded in size; aborted with the call. 408, 429, 5xx and lost connections become
 * errors that are tried again, after `Retry-After` where there is one; other answers are the handler's to judge.
 * @throws CallError `upstream_error`
 */
export function createFetch(options: FetchOptions): ConfinedFetch {
  const { signal } = options;
  return async (input, init = {}) => {
    let hop = { url: new URL(input), init: toInit(init, signal) };
    for (let redirects = 0; ; redirects++) {
      const response = await send(hop.url, hop.init, options);
      const location = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null;
      if (location === null || init.redirect === 'manual') return checked(hop.url, response);
      await response.body?.cancel();
      if (init.redirect === 'error' || redirects === maxRedirects) {
        throw refused(`${hop.url.host} redirects more often than it may`);
      }
      hop = redirected(hop, new URL(location, hop.url), response.status);
    }
  };
}

const toInit = (init: RequestInit, signal: AbortSignal): UndiciInit =>
  ({
    ...init,
    redirect: 'manual',
    signal: init.signal ? AbortSignal.any([signal, init.signal]) : signal,
  }) as unknown as UndiciInit;

async function send(url: URL, init: UndiciInit, { hosts, signal, trace = {} }: FetchOptions): Promise<Response> {
  const host = hostFor(url, hosts);
  const dispatcher = agentFor(url, host);
  // Of this hop only: where it redirects to may be somebody else.
  const traced = host.trace ? { headers: withTrace(init.headers, trace) } : {};
  try {
    return await undiciFetch(url, { ...init, ...traced, dispatcher });
  } catch (error) {
    signal.throwIfAborted();
    if (init.signal?.aborted || !isNetworkError(error)) throw error;
    throw connectionFailed(url, error);
  }
}

type Host = Exclude<Policy['hosts'][number], string>;

/** What the handler itself says of the trace stands. */
function withTrace(given: UndiciInit['headers'], trace: Readonly<Record<string, string>>): [string, string][] {
  const headers = new Headers(given);
  if (!headers.has('traceparent')) for (const [name, value] of Object.entries(trace)) headers.set(name, value);
  return [...headers];
}

/** The entry of the policy that lets this URL be fetched. @throws CallError where none does */
function hostFor(url: URL, hosts: Policy['hosts']): Host {
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refused(`${url.protocol} is not fetched, only http and https`);
  if (url.username !== '' || url.password !== '') throw refused('credentials in a URL are not sent; use a header');
  const entry = hosts
    .map((one): Host => (typeof one === 'string' ? { host: one, internal: false } : one))
    .find(({ host }) => matches(host, url));
  if (!entry) {
    const listed = hosts.map((one) => (typeof one === 'string' ? one : one.host)).join(', ') || 'none';
    throw refused(`${url.host} is not among the hosts of the tool's policy (${listed})`);
  }
  return entry;
}

/** The connections that may reach this URL. @throws CallError where none may */
function agentFor(url: URL, { internal }: Host): Dispatcher {
  if (internal) return agents.internal;
  // A literal address is not looked up, so it is judged here.
  const address = literalAddress(url.hostname);
  if (address !== undefined && !isPublicAddress(address)) throw notPublic(url.host);
  return agents.outside;
}

/** `*.example.com` stands for every name below it; a port stands for itself only. */
function matches(pattern: string, { hostname, port, protocol }: URL): boolean {
  const wanted = pattern.toLowerCase();
  if (wanted.startsWith('*.')) return hostname.endsWith(wanted.slice(1));
  return wanted === hostname || wanted === `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
}

/** The next hop as fetch has it (WHATWG Fetch, HTTP-redirect fetch): a changed origin is not told secrets. */
function redirected({ url, init }: { url: URL; init: UndiciInit }, to: URL, status: number) {
  const headers = new Headers(init.headers);
  const method = (init.method ?? 'GET').toUpperCase();
  const becomesGet = (status === 303 && method !== 'HEAD') || ((status === 301 || status === 302) && method === 'POST');
  if (to.origin !== url.origin)
    for (const name of ['authorization', 'cookie', 'proxy-authorization']) headers.delete(name);
  if (!becomesGet) return { url: to, init: { ...init, headers: [...headers] } };
  for (const name of ['content-type', 'content-length', 'content-encoding']) headers.delete(name);
  const { body: _body, ...rest } = init;
  return { url: to, init: { ...rest, method: 'GET', headers: [...headers] } };
}

async function checked(url: URL, response: Response): Promise<Response> {
  if (!retryableStatus(response.status)) return bounded(url, response);
  await response.body?.cancel();
  const afterMs = retryAfterMs(response.headers.get('retry-after'));
  throw new CallError('upstream_error', `${url.host} answered ${response.status}.`, {
    retry: afterMs === undefined ? 'backoff' : { afterMs },
    details: { status: response.status },
  });
}

/** The same response, whose body fails when it grows too large. */
function bounded({ href, host }: URL, received: Response): Response {
  const { status, statusText, headers } = received;
  const response = new Response(received.body && counted(host, received), { status, statusText, headers });
  return Object.defineProperty(response, 'url', { value: href }); // a Response that is made knows no URL
}

/**
 * Takes hold of the body at the first read only: undici closes the connection of a body that nobody reads once its
 * response is collected, unless the body is locked.
 */
function counted(host: string, received: Response): ReadableStream<Uint8Array> {
  let bytes = 0;
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        reader ??= received.body?.getReader();
        const { value } = (await reader?.read()) ?? {};
        if (!value) return controller.close();
        bytes += value.byteLength;
        if (bytes <= maxBodyBytes) return controller.enqueue(value);
        await reader?.cancel();
        throw refused(`${host} sent more than ${maxBodyBytes} bytes`);
      },
      cancel: (reason) => (reader ?? received.body)?.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

const refused = (why: string): CallError => new CallError('upstream_error', `Not fetched: ${why}.`);

const notPublic = (host: string): CallError =>
  refused(`${host} is not a public address; a policy may name it with { host, internal: true }`);

function connectionFailed(url: URL, error: unknown): CallError {
  const reason = reasonIn(error);
  if (reason instanceof AddressRefused) return notPublic(url.host);
  // The code where there is one: the message names the address, which may be internal.
  const { code = reason.message } = reason as NodeJS.ErrnoException;
  return new CallError('upstream_error', `${url.host} could not be reached (${code}).`, {
    retry: isConnectionError(error) ? 'backoff' : 'never',
    cause: error,
  });
}

/** Of the TypeErrors that fetch throws, the ones with a cause come from the network; others are mistakes of the program. */
const isNetworkError = (error: unknown): boolean => error instanceof Error && error.cause !== undefined;

/** `fetch failed` tells why only in its innermost cause. */
function reasonIn(error: unknown): Error {
  let reason = error instanceof Error ? error : new Error(String(error));
  while (reason.cause instanceof Error) reason = reason.cause;
  return reason;
}
