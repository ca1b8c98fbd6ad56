import { expect, test } from 'bun:test';
import { adoptRequestId, Caller, normalizeAddress, trustProxies } from './caller.ts';

const proxies = trustProxies(['10.0.0.1', '10.0.0.2', '2001:db8::1']);

function withHeaders(headers: Record<string, string>): Request {
  return new Request('http://cardea.test/', { headers });
}

function callerFrom(request: Request, socketAddress: string, { tls = false, declared = proxies } = {}): Caller {
  return new Caller(request, { socketAddress: () => socketAddress, tls, proxies: declared }, 'test');
}

function addressBehind(forwardedFor: string, socketAddress = '10.0.0.1'): string {
  return callerFrom(withHeaders({ 'x-forwarded-for': forwardedFor }), socketAddress).address;
}

test('API-05 L12: forwarded headers of an undeclared peer have no effect', () => {
  const headers = {
    'x-forwarded-for': '198.51.100.1',
    'x-forwarded-proto': 'https',
    forwarded: 'for=198.51.100.2;proto=https',
    'x-real-ip': '198.51.100.3',
  };
  const { address, userAgent, secure } = callerFrom(withHeaders(headers), '203.0.113.7');
  expect({ address, userAgent, secure }).toEqual({ address: '203.0.113.7', userAgent: '', secure: false });
});

test('API-05: behind a declared proxy the right-most address that is no proxy counts', () => {
  expect(addressBehind('203.0.113.7')).toBe('203.0.113.7');
  expect(addressBehind('1.1.1.1, 203.0.113.7')).toBe('203.0.113.7');
  expect(addressBehind('1.1.1.1,203.0.113.7 , 10.0.0.2')).toBe('203.0.113.7');
  expect(addressBehind('203.0.113.7, 2001:DB8:0::1')).toBe('203.0.113.7');
});

test('API-05: a chain of nothing but proxies yields its farthest, no header the proxy itself', () => {
  expect(addressBehind('10.0.0.2')).toBe('10.0.0.2');
  expect(callerFrom(withHeaders({}), '10.0.0.1').address).toBe('10.0.0.1');
});

test('API-05: a damaged entry ends what is believed', () => {
  for (const damaged of ['1.1.1.1, unknown', '1.1.1.1, ', '1.1.1.1, 203.0.113.7:80', '1.1.1.1, <script>']) {
    expect(addressBehind(damaged)).toBe('10.0.0.1');
  }
});

test('the proxy tells whether the client came over TLS, by the right-most word', () => {
  const secure = (proto: string, peer: string, tls = false): boolean =>
    callerFrom(withHeaders({ 'x-forwarded-proto': proto }), peer, { tls }).secure;
  expect(secure('https', '10.0.0.1')).toBe(true);
  expect(secure('http, HTTPS', '10.0.0.1')).toBe(true);
  expect(secure('https, http', '10.0.0.1')).toBe(false);
  expect(secure('http', '203.0.113.7', true)).toBe(true);
  expect(secure('https', '203.0.113.7')).toBe(false);
});

test('each address has one spelling', () => {
  expect(normalizeAddress('::ffff:203.0.113.7')).toBe('203.0.113.7');
  expect(normalizeAddress('::FFFF:CB00:7107')).toBe('203.0.113.7');
  expect(normalizeAddress('0:0:0:0:0:0:0:1')).toBe('::1');
  expect(normalizeAddress('2001:DB8:0:0::7')).toBe('2001:db8::7');
  expect(normalizeAddress('fe80::1%eth0')).toBe('fe80::1');
  expect(normalizeAddress('::ffff:0:0:1')).toBe('::ffff:0:0:1');
  for (const text of ['', 'localhost', '1.2.3', '01.2.3.4', '1.2.3.4:80', '[::1]']) {
    expect(normalizeAddress(text)).toBeUndefined();
  }
});

test('an IPv4-mapped peer is matched against the declared proxies', () => {
  const request = withHeaders({ 'x-forwarded-for': '203.0.113.7' });
  expect(callerFrom(request, '::ffff:10.0.0.1').address).toBe('203.0.113.7');
});

test('I01 I03: the user agent is cut at 256 characters and loses control characters', () => {
  const agent = callerFrom(withHeaders({ 'user-agent': `a\tb\u0085${'x'.repeat(15_000)}` }), '::1').userAgent;
  expect(agent).toStartWith('abxx');
  expect(agent.length).toBeLessThanOrEqual(256);
});

test('H18: only a harmless request id is adopted', () => {
  for (const id of ['a', 'A-1_b.c', 'x'.repeat(64)]) {
    expect(adoptRequestId(withHeaders({ 'x-request-id': id }))).toBe(id);
  }
  for (const id of ['', 'a b', 'a, b', 'é', '<b>', 'x'.repeat(65), 'x'.repeat(10_000)]) {
    expect(adoptRequestId(withHeaders({ 'x-request-id': id }))).toMatch(/^[0-9a-f]{16}-[0-9a-z]+$/);
  }
});

test('TH9: an address that was held is known after the connection is gone', () => {
  let here: string | undefined = '203.0.113.7';
  const listener = { socketAddress: () => here ?? '0.0.0.0', tls: false, proxies: trustProxies([]) };
  const caller = new Caller(withHeaders({}), listener, 'test');
  caller.hold();
  here = undefined;
  expect(caller.address).toBe('203.0.113.7');
});

test('fresh request ids differ', () => {
  const ids = new Set(Array.from({ length: 1_000 }, () => adoptRequestId(withHeaders({}))));
  expect(ids.size).toBe(1_000);
});

test('a declared network covers its addresses and no other', () => {
  const { includes } = trustProxies(['10.0.0.0/8', 'fd00::/8', '192.0.2.7']);
  expect(['10.1.2.3', 'fd12::1', '192.0.2.7'].map(includes)).toEqual([true, true, true]);
  expect(['11.0.0.1', 'fe80::1', '192.0.2.8', 'nonsense'].map(includes)).toEqual([false, false, false, false]);
});
