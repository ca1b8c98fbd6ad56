import { afterEach, beforeEach, expect, test } from 'bun:test';
import type { Door, Route } from './door.ts';
import { HttpFault } from './faults.ts';
import { lastBody, sendRaw, statuses } from './raw-client.ts';
import { type RunningServer, startServer } from './server.ts';

const deadlineMs = 200;
let gate: PromiseWithResolvers<string>;
let entered: PromiseWithResolvers<void>;
let finished: string[];
let reported: unknown[];
let counted: number[];
let server: RunningServer;

const wait: Route['answer'] = async () => {
  entered.resolve();
  const text = await gate.promise;
  finished.push(text);
  return new Response(text);
};

const door: Door = {
  name: 'toy',
  owns: [],
  routes: [
    { method: 'GET', path: '/wait', answer: wait },
    { method: 'POST', path: '/wait', answer: wait },
    { method: 'GET', path: '/now', answer: () => new Response('now') },
  ],
  answerFault: (fault) => Response.json({ fault }, { status: fault === 'too_slow' ? 503 : 500 }),
};

beforeEach(() => {
  [gate, entered] = [Promise.withResolvers(), Promise.withResolvers()];
  [finished, reported, counted] = [[], [], []];
  server = startServer({
    host: '127.0.0.1',
    port: 0,
    doors: [door],
    fallback: door,
    trustedProxies: [],
    reportError: (error) => reported.push(error),
    countAnswer: (_, status) => counted.push(status),
    deadlineMs,
  });
});
afterEach(async () => {
  gate.resolve('over');
  await server.stop(0);
});

const get = (path: string) => sendRaw(server.port, `GET ${path} HTTP/1.1\r\nHost: toy\r\n\r\n`);

test('TH6: an answer that does not come is the door’s own 503 at the deadline, and the connection closes', async () => {
  const startMs = performance.now();
  const received = await get('/wait');
  const tookMs = performance.now() - startMs;
  expect(statuses(received)).toEqual([503]);
  expect(lastBody(received)).toBe('{"fault":"too_slow"}');
  expect(received).toMatch(/^connection: close/im);
  expect(tookMs).toBeGreaterThanOrEqual(deadlineMs);
  expect(tookMs).toBeLessThan(deadlineMs * 25);
  expect(counted).toEqual([503]);
});

test('the handler runs on to its end, and what it says then goes to nobody', async () => {
  expect(statuses(await get('/wait'))).toEqual([503]);
  gate.resolve('done');
  await gate.promise;
  expect(await (await fetch(`${server.url}/now`)).text()).toBe('now');
  expect(finished).toEqual(['done']);
  expect(counted).toEqual([503, 200]);
  expect(reported).toEqual([]);
});

test('what a handler throws after the deadline is reported, unless it only says that the client was slow', async () => {
  const error = new Error('too late to tell');
  expect(statuses(await get('/wait'))).toEqual([503]);
  gate.reject(error);
  await gate.promise.catch(() => undefined);
  await fetch(`${server.url}/now`);
  expect(reported).toEqual([error]);
  gate = Promise.withResolvers();
  expect(statuses(await get('/wait'))).toEqual([503]);
  gate.reject(new HttpFault('too_slow'));
  await gate.promise.catch(() => undefined);
  await fetch(`${server.url}/now`);
  expect(reported).toEqual([error]);
});

test('each of many requests has its own deadline, and those that come in time are answered', async () => {
  const ask = async (path: string) => (await fetch(server.url + path)).text();
  const late = [ask('/wait'), ask('/wait')];
  for (const one of late) expect(await one).toBe('{"fault":"too_slow"}');
  const timely = [ask('/wait'), ask('/wait')];
  expect(await ask('/now')).toBe('now');
  gate.resolve('in time');
  for (const one of timely) expect(await one).toBe('in time');
});

test('a request that is late while the server stops is answered 503 before the grace is over', async () => {
  const inFlight = get('/wait');
  await entered.promise;
  const stopped = server.stop(deadlineMs * 50);
  expect(statuses(await inFlight)).toEqual([503]);
  await stopped;
});
