import { expect, test } from 'bun:test';
import { remember, rememberLast } from './remember.ts';

test('what was computed of a value is computed once, and neither JSON nor a copy shows it', () => {
  let computed = 0;
  const count = remember((key: { readonly name: string }) => `${key.name} ${++computed}`);
  const other = remember((key: { readonly name: string }) => key.name.length);
  const key = { name: 'a' };
  expect([count(key), count(key), other(key)]).toEqual(['a 1', 'a 1', 1]);
  expect(JSON.stringify(key)).toBe('{"name":"a"}');
  const copy = { ...key };
  expect(count(copy)).toBe('a 2');
  expect(count(key)).toBe('a 1');
});

test('of texts only the last is remembered', () => {
  const asked: string[] = [];
  const read = rememberLast((text) => {
    asked.push(text);
    if (text === 'bad') throw new Error('bad');
    return text.length;
  });
  expect([read('a'), read('a'), read('bc'), read('a')]).toEqual([1, 1, 2, 1]);
  expect(() => read('bad')).toThrow('bad');
  expect(read('a')).toBe(1);
  expect(asked).toEqual(['a', 'bc', 'a', 'bad']);
});
