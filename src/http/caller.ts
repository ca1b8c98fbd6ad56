import { BlockList, isIP } from 'node:net';

/** What a listener knows of its connections. */
export type ListenerFacts = {
  /** Address of the connection's other end; it is gone as soon as the client has hung up (TH9). */
  readonly socketAddress: (request: Request) => string;
  readonly tls: boolean;
  readonly proxies: TrustedProxies;
};

/**
 * Who is calling, as far as the connection can tell. Forwarded headers are believed only when the connection itself comes from a
 * declared proxy: anybody can write them (attacks L12). Worked out when it is asked for, since most checks never ask.
 */
export class Caller {
  readonly requestId: string;
  readonly #request: Request;
  readonly #listener: ListenerFacts;
  #peer: string | undefined;

  constructor(request: Request, listener: ListenerFacts, requestId: string) {
    this.#request = request;
    this.#listener = listener;
    this.requestId = requestId;
  }

  /** Client address behind the declared proxies, e.g. `203.0.113.7` or `::1`. */
  get address(): string {
    const peer = this.#readPeer();
    return this.#isProxied() ? readForwardedAddress(this.#request, peer, this.#listener.proxies.includes) : peer;
  }

  /** User-Agent, cut at 256 characters, without control characters. */
  get userAgent(): string {
    const given = this.#request.headers.get('user-agent');
    return given === null ? '' : given.slice(0, userAgentLimit).replace(controlCharacters, '');
  }

  /** True when the client reached us, or the declared proxy in front of us, over TLS. */
  get secure(): boolean {
    return this.#listener.tls || (this.#isProxied() && readForwardedProtocol(this.#request) === 'https');
  }

  /** Keeps the address beyond this turn of the event loop. */
  hold(): void {
    this.#readPeer();
  }

  #isProxied(): boolean {
    const { proxies } = this.#listener;
    return !proxies.none && proxies.includes(this.#readPeer());
  }

  #readPeer(): string {
    if (this.#peer === undefined) {
      const address = this.#listener.socketAddress(this.#request);
      // The system spells IPv4 in one way only.
      this.#peer = address.includes(':') ? (normalizeAddress(address) ?? address) : address;
    }
    return this.#peer;
  }
}

/** Tells whether an address, as `normalizeAddress` spells it, is a declared proxy; `none`: nobody is. */
export type TrustedProxies = { readonly none: boolean; readonly includes: (address: string) => boolean };

const userAgentLimit = 256;
const requestIdPattern = /^[A-Za-z0-9._-]{1,64}$/;
// Header values arrive as Latin-1, so the upper control block is possible too.
const controlCharacters = /[\u0000-\u001f\u007f-\u009f]/g;

/**
 * Compiles the declared proxies: addresses, and networks such as `10.0.0.0/8`.
 *
 * @throws Error naming an entry that is neither
 */
export function trustProxies(entries: readonly string[]): TrustedProxies {
  const proxies = new BlockList();
  for (const entry of entries) {
    const [text = '', prefix] = entry.split('/');
    const address = normalizeAddress(text);
    if (address === undefined) throw new Error(`the trusted proxy ${entry} is neither an IP address nor a network`);
    if (prefix === undefined) proxies.addAddress(address, familyOf(address));
    else proxies.addSubnet(address, Number(prefix), familyOf(address));
  }
  return { none: entries.length === 0, includes: (address) => proxies.check(address, familyOf(address)) };
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** The incoming `X-Request-Id` if it is harmless to repeat in headers and logs, otherwise a fresh one. */
export function adoptRequestId(request: Request): string {
  const given = request.headers.get('x-request-id');
  return given !== null && requestIdPattern.test(given) ? given : nextRequestId();
}

/**
 * One spelling for each address: IPv4-mapped IPv6 becomes IPv4, IPv6 its shortest lower-case form without a zone, so
 * that counters kept by address cannot be dodged by respelling. Undefined for what is no address.
 */
export function normalizeAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version === 0) return undefined;
  if (version === 4) return text;
  // The URL parser is the only canonical IPv6 writer at hand; brackets and zone are not its business.
  const shortest = new URL(`http://[${text.replace(/%.*/, '')}]/`).hostname.slice(1, -1);
  return shortest.startsWith('::ffff:') ? mappedAddress(shortest) : shortest;
}

/** `::ffff:cb00:7107` → `203.0.113.7`; anything but two groups after the prefix stays as it is. */
function mappedAddress(address: string): string {
  const groups = address.slice('::ffff:'.length).split(':');
  if (groups.length !== 2) return address;
  const [high = 0, low = 0] = groups.map((group) => Number.parseInt(group, 16));
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/**
 * Reads `X-Forwarded-For` from the right, the side our own proxies write, and stops at the first address that is not
 * one of them: everything further left was sent by the client and may be invented.
 */
function readForwardedAddress(request: Request, peer: string, isProxy: TrustedProxies['includes']): string {
  let nearest = peer;
  let rest = request.headers.get('x-forwarded-for') ?? '';
  while (rest !== '') {
    const comma = rest.lastIndexOf(',');
    const address = normalizeAddress(rest.slice(comma + 1).trim());
    // A damaged entry ends the part we can believe; the proxy that let it through is then the caller.
    if (address === undefined) return nearest;
    nearest = address;
    if (!isProxy(nearest)) return nearest;
    rest = rest.slice(0, Math.max(comma, 0));
  }
  return nearest;
}

/** The right-most protocol is the one the proxy in front of us has seen itself. */
function readForwardedProtocol(request: Request): string | undefined {
  return request.headers.get('x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase();
}

// An id only has to differ from all others, so a counter behind a random start is enough: a UUID costs five times as much.
const requestIdPrefix = crypto.randomUUID().replaceAll('-', '').slice(0, 16);
let requestCount = 0;

function nextRequestId(): string {
  requestCount += 1;
  return `${requestIdPrefix}-${requestCount.toString(36)}`;
}
