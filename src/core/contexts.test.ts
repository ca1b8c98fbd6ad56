import { expect, test } from 'bun:test';
import type { SessionContext } from './context.ts';
import { createContextCache } from './contexts.ts';

const endless = Number.POSITIVE_INFINITY;
const unchanged = () => 0;

function contextOf(userId: number): SessionContext {
  return { user: { id: userId } } as SessionContext;
}

test('a credential is found by its exact text and its kind', () => {
  const cache = createContextCache(10, unchanged);
  const context = contextOf(1);
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  cache.keep('bearer', 'text', context, endless, 0);
  expect(cache.find('bearer', 'text', 0)).toBe(context);
  expect(cache.find('api_key', 'text', 0)).toBeUndefined();
  expect(cache.find('bearer', 'Text', 0)).toBeUndefined();
});

test('from its second on the store is asked again', () => {
  const cache = createContextCache(10, unchanged);
  cache.keep('bearer', 'text', contextOf(1), 100, 0);
  expect(cache.find('bearer', 'text', 99)).toBeDefined();
  expect(cache.find('bearer', 'text', 100)).toBeUndefined();
});

test('what is forgotten of one user is all of that user and nothing else, and what is kept later counts', () => {
  const cache = createContextCache(10, unchanged);
  for (const text of ['a', 'b']) cache.keep('bearer', text, contextOf(1), endless, 0);
  cache.keep('bearer', 'c', contextOf(2), endless, 0);
  cache.forgetUser(1);
  expect(['a', 'b', 'c'].map((text) => cache.find('bearer', text, 0)?.user.id)).toEqual([undefined, undefined, 2]);
  cache.keep('bearer', 'a', contextOf(1), endless, 0);
  expect(['a', 'b', 'c'].map((text) => cache.find('bearer', text, 0)?.user.id)).toEqual([1, undefined, 2]);
  cache.forgetAll();
  expect(['a', 'b', 'c'].map((text) => cache.find('bearer', text, 0))).toEqual([undefined, undefined, undefined]);
  expect(cache.size()).toBe(0);
});

test('users without number are forgotten in bounded memory', () => {
  const cache = createContextCache(10, unchanged);
  cache.keep('bearer', 'text', contextOf(1), endless, 0);
  for (let user = 1; user <= 25_000; user += 1) cache.forgetUser(user);
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  cache.keep('bearer', 'text', contextOf(1), endless, 0);
  expect(cache.find('bearer', 'text', 0)).toBeDefined();
});

test('a refusal is kept for its kind and ten seconds, until any change that concerns everybody', () => {
  const cache = createContextCache(10, unchanged);
  cache.keepRefusal('api_key', 'text', 100);
  expect(cache.isRefused('api_key', 'text', 109)).toBe(true);
  expect(cache.isRefused('api_key', 'text', 110)).toBe(false);
  // A clock that was set back must not make it last.
  expect(cache.isRefused('api_key', 'text', 99)).toBe(false);
  expect(cache.isRefused('session_guid', 'text', 100)).toBe(false);
  expect(cache.find('api_key', 'text', 100)).toBeUndefined();
  cache.forgetAll();
  expect(cache.isRefused('api_key', 'text', 100)).toBe(false);
});

test('a text that was refused as two kinds of credential is known as both', () => {
  const cache = createContextCache(10, unchanged);
  cache.keepRefusal('session_guid', 'text', 100);
  cache.keepRefusal('api_key', 'text', 100);
  expect(cache.isRefused('session_guid', 'text', 101)).toBe(true);
  expect(cache.isRefused('api_key', 'text', 101)).toBe(true);
  expect(cache.isRefused('cookie', 'text', 101)).toBe(false);
});

test('AVL-02: guesses push no good credential out, and are not kept without end', () => {
  const cache = createContextCache(10, unchanged);
  cache.keep('bearer', 'good', contextOf(1), endless, 0);
  for (let guess = 0; guess < 10_000; guess += 1) cache.keepRefusal('bearer', `guess ${guess}`, 0);
  expect(cache.find('bearer', 'good', 0)).toBeDefined();
  expect(cache.isRefused('bearer', 'guess 9999', 0)).toBe(true);
  expect(cache.isRefused('bearer', 'guess 8000', 0)).toBe(false);
});

test('AVL-02: ten times as many credentials as it holds leave the last used ones', () => {
  const cache = createContextCache(100, unchanged);
  const used = contextOf(1);
  cache.keep('bearer', 'used', used, endless, 0);
  for (let second = 1; second <= 1_000; second += 1) {
    cache.keep('bearer', `text ${second}`, contextOf(2), endless, second);
    expect(cache.find('bearer', 'used', second)).toBe(used);
  }
  expect(cache.size()).toBe(100);
  expect(cache.find('bearer', 'text 1', 1_000)).toBeUndefined();
  expect(cache.find('bearer', 'text 1000', 1_000)).toBeDefined();
});

test('TS11: a change of another process forgets everything, at most 50 ms later', async () => {
  let changes = 1;
  const cache = createContextCache(10, () => changes);
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  cache.keep('bearer', 'text', contextOf(1), endless, 0);
  expect(cache.find('bearer', 'text', 0)).toBeDefined();
  changes += 1;
  await Bun.sleep(60);
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  cache.keep('bearer', 'text', contextOf(1), endless, 0);
  await Bun.sleep(60);
  expect(cache.find('bearer', 'text', 0)).toBeDefined();
});

test('P2: a store that cannot say whether it changed has nothing answered from memory, until it can', async () => {
  let broken = false;
  const cache = createContextCache(10, () => {
    if (broken) throw new Error('disk I/O error');
    return 1;
  });
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  cache.keep('bearer', 'text', contextOf(1), endless, 0);
  broken = true;
  await Bun.sleep(60);
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  // What was read although it cannot is not trusted either.
  cache.keep('bearer', 'text', contextOf(1), endless, 0);
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  broken = false;
  expect(cache.find('bearer', 'text', 0)).toBeUndefined();
  cache.keep('bearer', 'text', contextOf(1), endless, 0);
  expect(cache.find('bearer', 'text', 0)).toBeDefined();
});
