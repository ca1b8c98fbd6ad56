import { expect, test } from 'bun:test';
import { connect } from 'node:net';
import type { Door, Route } from './door.ts';
import { lastBody, sendRaw, statuses } from './raw-client.ts';
import { type RunningServer, type ServerOptions, startServer } from './server.ts';

const plain: Route = { method: 'GET', path: '/toy/plain', answer: () => new Response('plain') };
const toy: Door = {
  name: 'toy',
  owns: ['/toy/'],
  routes: [plain],
  answerFault: (fault) => Response.json({ fault }, { status: fault === 'stopping' ? 503 : 500 }),
};

const toyOptions: ServerOptions = {
  host: '127.0.0.1',
  port: 0,
  doors: [toy],
  fallback: { ...toy, name: 'fallback', owns: [], routes: [] },
  trustedProxies: [],
  reportError: () => undefined,
};

function start(changes: Partial<ServerOptions> = {}): RunningServer {
  return startServer({ ...toyOptions, ...changes });
}

/** A door whose answer waits until the test lets it go. */
function slowDoor(): { door: Door; entered: Promise<void>; release: () => void } {
  const entered = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const answer = async (): Promise<Response> => {
    entered.resolve();
    await gate.promise;
    return new Response('finished');
  };
  const door: Door = { ...toy, name: 'slow', routes: [...toy.routes, { method: 'GET', path: '/slow', answer }] };
  return { door, entered: entered.promise, release: gate.resolve };
}

test('F21 TH10: stop lets what is in flight finish and takes no new connections', async () => {
  const slow = slowDoor();
  const house = start({ doors: [slow.door] });
  const inFlight = sendRaw(house.port, 'GET /slow HTTP/1.1\r\nHost: toy\r\n\r\n');
  await slow.entered;
  const stopped = house.stop(5_000);
  expect(await sendRaw(house.port, 'GET /toy/plain HTTP/1.1\r\nHost: toy\r\n\r\n')).toBe('');
  slow.release();
  expect(lastBody(await inFlight)).toBe('finished');
  expect(await inFlight).toMatch(/^connection: close/im);
  await stopped;
});

// The same half-sent request at either end of a listener: refused when the server stops, served when another takes the port over.
test.each([
  ['F21: a stop answers with the fault stopping', 'stop', 503, 'stopping'],
  ['a listener that retires for its successor still answers', 'retire', 200, 'plain'],
] as const)('%s a request that was half sent, and closes', async (_, way, status, text) => {
  const house = start();
  const closed = Promise.withResolvers<string>();
  let received = '';
  const sent = Promise.withResolvers<void>();
  const socket = connect(house.port, '127.0.0.1', () => socket.write('GET /toy/pl', () => sent.resolve()));
  socket.on('data', (data) => (received += data.toString('latin1')));
  socket.on('close', () => closed.resolve(received));
  await sent.promise;
  // The answer to a later connection shows that the server has the half request by now.
  await fetch(`${house.url}/toy/plain`);
  const ended = house[way](2_000);
  socket.write('ain HTTP/1.1\r\nHost: toy\r\n\r\n');
  expect(statuses(await closed.promise)).toEqual([status]);
  expect(received).toMatch(/^connection: close/im);
  expect(received).toContain(text);
  await ended;
});

test('F21: what does not finish within the grace is cut', async () => {
  const slow = slowDoor();
  const house = start({ doors: [slow.door] });
  const inFlight = sendRaw(house.port, 'GET /slow HTTP/1.1\r\nHost: toy\r\n\r\n');
  await slow.entered;
  await house.stop(20);
  expect(await inFlight).toBe('');
  slow.release();
});

test('TH11: a port that is taken is refused, also to this very program, and free again after the stop', async () => {
  const house = start();
  const again = () => startServer({ ...toyOptions, port: house.port });
  expect(again).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
  await house.stop(0);
  await again().stop(0);
});
